# SPDX-License-Identifier: MIT
"""Delivers a version: starts pipelines one after the other, tells what happens, and stops at the first that fails.

    release.py --var version=1.4 --approve Gate/Sign --roll-back Deploy staging production

--approve answers that approval of these very executions; any other is waited for. --roll-back: when a pipeline fails in
that stage, the stage is run again as the last execution ran it that succeeded. Exit status 0: all succeeded, 1: not.
"""

import argparse
import sys

import codepipeline


def roll_back(run, stage):
    try:
        back = run.rollback(stage)
    except (codepipeline.StateError, codepipeline.ClientError) as error:  # no execution to go back to, or refused
        print(f"{run.pipeline}: {stage} stays as it is: {error}")
        return
    print(f"{run.pipeline}: {stage} goes back, which is execution {back.id}")
    print(f"{run.pipeline}: the rollback {back.wait()}")


def deliver(client, pipeline, options):
    """Whether the pipeline succeeded."""
    failed = set()
    run = client.start(pipeline, variables=dict(options.var) or None, poll_interval=options.interval)
    for event in run.follow():
        print(f"{pipeline}: {event}", flush=True)
        if event.kind == "approval" and f"{event.stage}/{event.action}" in options.approve:
            run.approve(event.stage, event.action, "by release.py")
        if event.kind == "stage" and event.status == "Failed":
            failed.add(event.stage)
    outcome = run.wait()
    if not outcome:
        print(outcome.explanation)
    if options.roll_back in failed:
        roll_back(run, options.roll_back)
    return bool(outcome)


def variable(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipelines", nargs="+", metavar="PIPELINE")
    parser.add_argument("--var", action="append", default=[], type=variable, metavar="NAME=VALUE")
    parser.add_argument("--approve", action="append", default=[], metavar="STAGE/ACTION")
    parser.add_argument("--roll-back", metavar="STAGE")
    parser.add_argument("--interval", type=float, metavar="SECONDS", help="between two looks at the service")
    options = parser.parse_args()
    client = codepipeline.Client()
    return 0 if all(deliver(client, pipeline, options) for pipeline in options.pipelines) else 1


if __name__ == "__main__":
    sys.exit(main())
