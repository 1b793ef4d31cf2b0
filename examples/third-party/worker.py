# SPDX-License-Identifier: MIT
"""A partner's worker: tests the artifacts of customers, whose pipelines have an action of ours (owner ThirdParty).

TOKENS names a file of customers and the client tokens that they were given when they connected their pipeline,
{"CLIENT ID": "TOKEN"}. It is read when a token is wanted, so a new customer needs no restart. JOURNAL names the file
that remembers jobs and results over a crash.
"""

import json
import os
import pathlib
import sys

import codepipeline


def client_token(customer):
    """The customer's token; None: their jobs stay with the service, and we are asked again in a minute."""
    return json.loads(pathlib.Path(os.environ["TOKENS"]).read_text()).get(customer)


worker = codepipeline.Worker(third_party=True, client_token=client_token, journal=os.environ["JOURNAL"])


@worker.job(category="Test", provider="Spellchecker", version="1")
def spell(job):
    """Counts the words of the language that the action is configured for, page by page: a job for each."""
    pages = sorted(pathlib.Path(job.input().extract()).rglob("*.txt"))
    done = job.state or []
    if len(done) < len(pages):
        page = pages[len(done)]
        done.append({"page": page.name, "words": len(page.read_text(encoding="utf-8").split())})
    if len(done) < len(pages):
        return job.later(done, percent_complete=100 * len(done) // len(pages))
    report = {"language": job.configuration["Language"], "pages": done}
    job.output("Report").write(json.dumps(report).encode())
    return job.succeed(external_execution_id=job.id, summary=f"{sum(page['words'] for page in done)} words")


if __name__ == "__main__":
    sys.exit(worker.run())
