# SPDX-License-Identifier: MIT
"""Hooks for the handlers of isolated_handlers.py, which does not know them."""

import asyncio

told = []


def tell(word, job):
    told.append(word)
    return f"{word} {job.action}"


def before_of_worker(job):
    tell("worker", job)


async def before_of_router(job):
    await asyncio.sleep(0)
    tell("router", job)


def after_of_router(job, outcome):
    tell(f"router {outcome.name}", job)


def after_of_worker(job, outcome):
    outcome.details["summary"] = ", ".join((*told, f"worker {outcome.name}"))


def answers(job):
    return {"instead": job.action}


def breaks(job, *more):
    raise RuntimeError("the hook is broken")


def tries_again(job, error):
    return job.later(str(error)) if job.state is None else None
