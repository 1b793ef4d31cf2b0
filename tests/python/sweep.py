# SPDX-License-Identifier: MIT
"""One thing goes wrong at the n-th call of a worker, for each n, or for some: NIGHTLY=1 takes each."""

import shutil
import subprocess

import judge
from conftest import NIGHTLY
from host import Host

SAMPLE = 4


class Trouble:
    """What goes wrong. point: where; None: nothing does, and .points are found out in end()."""

    shim, repeats, language = None, "refuse", "python"
    statuses = (0,)  # that the worker may end with
    succeeds = False  # whether the job does all the same

    def __init__(self, point):
        self.point = point

    def begin(self, machine):
        """Before the worker is started."""

    def end(self, machine):
        """It has ended, and the job is over."""


def run_cycle(folder, trouble):
    """One job from the worker's start to its end, and one more for the next worker. Whether it came to the trouble."""
    folder.mkdir()
    with Host(folder, trouble.shim, language=trouble.language, repeats=trouble.repeats, PHASES="") as machine:
        trouble.begin(machine)
        machine.spawn()
        machine.wait(1)
        machine.stop()
        came = trouble.end(machine)
        machine.bench.start("p2")
        machine.spawn()
        machine.wait(2)
        judge.expect(machine.stop() == 0, "I5", "the worker that came next ended with", machine.ends)
        machine.judge((0, *trouble.statuses))
        wanted = {"Succeeded"} if trouble.succeeds or not trouble.point else {"Succeeded", "Failed"}
        judge.expect(machine.bench.state()["status"] in wanted, "I3", machine.bench.state())
        judge.expect(machine.bench.state("p2")["status"] == "Succeeded", "I3", machine.bench.state("p2"))
        return came


def everywhere(folder, make_trouble, least, sample=SAMPLE):
    counting = make_trouble(None)
    run_cycle(folder / "whole", counting)
    points = counting.points
    assert len(points) >= least, points
    broken, came = [], 0
    for point in points if NIGHTLY else points[2 :: len(points) // sample]:
        try:
            came += bool(run_cycle(folder / "one", make_trouble(point)))
        except (judge.Broken, subprocess.TimeoutExpired) as error:
            broken.append(f"at {point}: {error}")
        shutil.rmtree(folder / "one")
    print(f"{len(points)} calls, {came} came to it")
    assert not broken, "\n".join(broken)
    assert came >= 2
