# SPDX-License-Identifier: MIT
"""The n-th call of a worker that changes a file, or syncs it, fails, from its start to its end: EIO, and ENOSPC."""

import errno

import pytest

import sweep


class Failing(sweep.Trouble):
    statuses = (0, 1)  # 1: the journal could not be opened, and run() was never begun

    def __init__(self, shim, language, number, point):
        super().__init__(point)
        self.shim, self.language, self.number = shim, language, number

    def begin(self, machine):
        machine.switch.set(error=self.number, fail_at=self.point or -1)

    def end(self, machine):
        self.points = range(1, machine.switch.get("file_calls") + 1)
        machine.switch.set(fail_at=0)
        return machine.switch.get("struck")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("language", ["python", "lua"])
def test_a_call_that_fails(language, number, shim, tmp_path):
    sample = 4 if language == "python" else 2
    sweep.everywhere(tmp_path, lambda point: Failing(shim, language, number, point), 40, sample)
