# SPDX-License-Identifier: MIT
"""The AWS SDK for JavaScript, unmodified, against the emulator; the story itself is tests/js/story.cjs."""

import json


def test_the_javascript_sdk_carries_a_pipeline_to_succeeded(emulator, node):
    seen = json.loads(node("story.cjs"))
    assert seen["status"] == "InProgress"
    assert seen["input"] == "source revision"
    assert seen["execution"] == "Succeeded"
    assert seen["stages"] == ["Succeeded", "Succeeded"]
    assert seen["dates"] is True
    assert seen["again"] == "InvalidJobStateException"
    assert seen["stale"] in ("InvalidNonceException", "InvalidJobStateException")
    assert seen["unknown"] == "PipelineNotFoundException"
    assert seen["pages"] == 4
