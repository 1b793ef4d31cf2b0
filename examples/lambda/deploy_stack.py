# SPDX-License-Identifier: MIT
"""Creates or updates a CloudFormation stack with a template of the input artifact, and waits for it by continuation.

UserParameters: {"stack": NAME, "artifact": NAME of the input artifact, "file": the template's path in it}
"""

import pathlib

import boto3

import codepipeline

worker = codepipeline.Worker()
handler = worker.lambda_handler
cloudformation = boto3.client("cloudformation")


def status_of(stack):
    """The stack's status, or None when there is no such stack."""
    try:
        return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except cloudformation.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def begin(stack, template):
    """Starts an update, or makes the stack; False when it is up to date."""
    change = cloudformation.update_stack if status_of(stack) else cloudformation.create_stack
    try:
        change(StackName=stack, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])
    except cloudformation.exceptions.ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise
        return False
    return True


@worker.invoke
def deploy(job):
    wanted = job.user_parameters_json("stack", "artifact", "file")
    stack = wanted["stack"]
    if job.state is None:
        template = pathlib.Path(job.input(wanted["artifact"]).extract(), wanted["file"])
        if not template.is_file():
            return job.fail(f"the artifact has no file {wanted['file']}", type="ConfigurationError")
        if not begin(stack, template.read_text(encoding="utf-8")):
            return job.succeed(summary=f"{stack} was up to date")
        return job.later("begun", after=30, summary=f"{stack}: begun")
    status = status_of(stack)
    if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        return {"stack": stack}
    if status and status.endswith("_IN_PROGRESS") and "ROLLBACK" not in status:
        return job.later("begun", after=30, summary=f"{stack}: {status}")
    return job.fail(f"{stack} ended as {status}")
