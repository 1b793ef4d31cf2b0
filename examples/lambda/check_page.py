# SPDX-License-Identifier: MIT
"""Checks that a page answers, and has a text. UserParameters: {"url": ..., "text": ...}, or the URL alone."""

import urllib.request

import codepipeline

worker = codepipeline.Worker()
handler = worker.lambda_handler


@worker.invoke
def check_page(job):
    alone = job.user_parameters or ""
    wanted = {"url": alone} if alone.startswith("http") else job.user_parameters_json("url")
    with urllib.request.urlopen(wanted["url"], timeout=20) as page:  # raises for what is not 2xx
        body = page.read().decode("utf-8", "replace")
    if wanted.get("text", "") not in body:
        return job.fail(f"{wanted['url']} does not say {wanted['text']!r}")
    return job.succeed({"bytes": str(len(body))}, summary=f"{wanted['url']} is as it should be")
