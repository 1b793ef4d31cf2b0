# SPDX-License-Identifier: MIT
"""What things draw in a notebook: complete, escaped, well-formed; and the frames made of them."""

import subprocess
import sys
import xml.etree.ElementTree as xml

import pytest

import codepipeline
from codepipeline.notebook import page
from codepipeline.notebook.table import Table, frame
from test_run import BUILD, GATE, QUICK, world

__all__ = ["world"]  # the fixture

SPITE = '<script>alert("1")</script> & \x00\x1b'


def parsed(shown):
    """The drawing, read as XML: an unescaped text would break it, or be found as an element."""
    tree = xml.fromstring("<html>" + shown.replace("<details open>", "<details>") + "</html>")
    assert tree.find(".//{*}script") is None
    return tree


def words(tree):
    return " ".join("".join(element.itertext()) for element in tree if element.tag != "style")


def fail_with(client, run, message):
    worker = codepipeline.Worker(client, poll_interval=0.01)

    @worker.job(category="Build", provider="Maker", version="1")
    def make(job):
        raise RuntimeError(message)

    worker.run_once()
    run.wait(10)


def test_a_pipeline_draws_its_stages_actions_artifacts_and_shut_transitions(world, client):
    run = world(BUILD, GATE)
    client.disable_stage_transition(
        pipelineName="site", stageName="Gate", transitionType="Inbound", reason="holidays until January"
    )
    pipeline = client.pipeline("site")
    drawn = parsed(pipeline._repr_html_())
    svg = drawn.find(".//{http://www.w3.org/2000/svg}svg")
    text = "".join(svg.itertext())
    for expected in ("Source", "Fetch", "Build", "Make", "Gate", "Sign", "disabled: holidays until January"):
        assert expected in text
    flows = [path for path in svg.iter("{http://www.w3.org/2000/svg}path") if path.get("class") == "flow"]
    assert [path[0].text for path in flows] == ["Source"]  # from Fetch to Make
    assert "Build/Make: InProgress" in text and "Gate/Sign: did not run" in text
    assert [row["action"] for row in pipeline.actions()] == ["Fetch", "Make", "Sign"]
    assert [row["id"] for row in pipeline.runs()] == [run.id]
    assert repr(pipeline) == "<codepipeline.Pipeline site version=1>"


def test_a_pipeline_that_is_not_there_is_the_services_error(client):
    with pytest.raises(client.exceptions.PipelineNotFoundException):
        client.pipeline("nowhere")


def test_an_execution_draws_every_attempt_and_its_failure_is_escaped(world, client):
    run = world(BUILD)
    fail_with(client, run, SPITE)
    run.retry("Build")
    fail_with(client, run, "second")
    timeline = run.timeline()
    assert [(row["action"], row["attempt"], row["status"]) for row in timeline.rows] == [
        ("Fetch", 1, "Succeeded"),
        ("Make", 1, "Failed"),
        ("Make", 2, "Failed"),
    ]
    drawn = parsed(run._repr_html_())
    assert "attempt 2" in words(drawn) and '<script>alert("1")</script> &' in words(drawn)
    assert len(drawn.findall(".//details")) == 2
    assert timeline.status == "Failed" and timeline.seconds > 0


def test_an_explanation_draws_its_findings(world, client):
    run = world(BUILD)
    fail_with(client, run, SPITE)
    drawn = words(parsed(run.explain()._repr_html_()))
    assert "Failed" in drawn and '<script>alert("1")</script>' in drawn


def test_following_draws_itself_in_place_until_the_end(world, client, monkeypatch):
    run = world(BUILD)
    fail_with(client, run, "broken")
    shown = []

    class Handle:
        def update(self, bundle, raw):
            shown.append(bundle["text/html"])

    class Display:
        @staticmethod
        def display(bundle, raw, display_id):
            assert raw and display_id
            shown.append(bundle["text/html"])
            return Handle()

    monkeypatch.setitem(sys.modules, "IPython.display", Display)
    run.follow()._ipython_display_()
    first, last = parsed(shown[0]), parsed(shown[-1])
    assert first.find(".//progress").get("value") == "0"
    assert last.find(".//progress").attrib == {"max": "2", "value": "1"}
    assert "Failed" in words(last) and "broken" in words(last)


def test_follow_is_still_an_iterator_of_events(world, client):
    run = world(BUILD)
    fail_with(client, run, "broken")
    follow = client.run("site", run.id, **QUICK).follow()
    assert iter(follow) is follow
    assert [event.kind for event in follow][-1] == "end"
    assert list(follow) == []


def test_tables_show_every_name_once_and_say_when_rows_are_left_out():
    rows = Table([{"name": SPITE, "seconds": 75.2, "deep": {"er": 1}}] + [{"name": "b", "status": "Failed"}] * 300)
    drawn = parsed(rows._repr_html_())
    assert [head.text for head in drawn.iter("th")] == ["name", "seconds", "deep.er", "status"]
    assert "1 min 15 s" in words(drawn) and "and 101 more" in words(drawn) and "\ufffd" in words(drawn)
    assert "nothing here" in words(parsed(Table()._repr_html_()))


def test_pipelines_are_a_table(world, client):
    world(GATE)
    assert [row["name"] for row in client.pipelines()] == ["site"]
    assert "site" in words(parsed(client.pipelines()._repr_html_()))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_are_tidy(world, client, library):
    pytest.importorskip(library)
    run = world(GATE)
    made = run.timeline().to_frame(library)
    assert type(made).__module__.split(".")[0] == library
    assert list(made.columns)[:4] == ["stage", "action", "attempt", "status"]
    assert list(made["action"]) == ["Fetch", "Sign"]
    assert len(client.pipeline("site").to_frame(library)) == 2


def test_a_frame_without_a_library_says_what_to_install(monkeypatch):
    for name in ("pandas", "polars"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="pip install pandas"):
        frame([{"a": 1}])
    with pytest.raises(ValueError, match='library: "excel"'):
        frame([], "excel")


def test_a_timeline_plots_itself(world, client):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = world(GATE).timeline().plot()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Gate/Sign", "Source/Fetch"]


def test_a_plot_without_matplotlib_says_what_to_install(world, client, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        world(GATE).timeline().plot()
    with pytest.raises(ImportError, match="pip install matplotlib"):
        codepipeline.metrics(client).plot()


def test_approvals_are_a_table_with_links(world, client):
    run = world(GATE)
    waiting = client.approvals()
    assert isinstance(waiting, list) and waiting[0].execution_id == run.id
    drawn = parsed(waiting._repr_html_())
    assert [cell.text for cell in drawn.iter("td")][:3] == ["site", "Gate", "Sign"]
    assert f'<td class="state">{run.id}</td>' in waiting._repr_html_()  # not broken at its dashes
    assert "look twice" in words(drawn)
    spite = Table([{"url": "javascript:alert(1)"}, {"url": "https://ci.example/1"}])._repr_html_()
    assert "<td>javascript:alert(1)</td>" in spite and '<a href="https://ci.example/1"' in spite
    waiting[0].reject("no")
    assert "was rejected" in words(parsed(run.wait()._repr_html_()))


def test_metrics_are_a_table_a_frame_and_plots():
    pytest.importorskip("matplotlib").use("agg")
    pytest.importorskip("pandas")
    with codepipeline.testing.Demo() as demo:
        report = codepipeline.metrics(demo.client)
        assert "<td>library</td>" in report._repr_html_() and '<td class="num">33%</td>' in report._repr_html_()
        frame = report.to_frame("pandas")
        assert list(frame["pipeline"]) == ["assets", "docs", "library", "payments", "site"]
        assert list(frame["deployments"])[1:] == [18, 20, 3, 6]
        titles = [axes.get_title() for axes in report.plot()]
        assert titles == ["deployments a day", "lead time, minutes", "failure rate, %", "time to restore, minutes"]


def test_links_are_for_browsers_alone():
    assert page.link("https://ci.example/1?a=b&c", "log").startswith('<a href="https://ci.example/1?a=b&amp;c"')
    assert page.link("javascript:alert(1)", "log") == "log"


@pytest.mark.parametrize(
    "seconds, text", [(None, ""), (4.21, "4.2 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (200000, "2 d 07 h")]
)
def test_durations_in_words(seconds, text):
    assert page.duration(seconds) == text


def test_a_script_that_follows_loads_no_drawing():
    code = "import sys, codepipeline.notebook.live; print([m for m in sys.modules if m == 'html'])"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True).stdout == "[]\n"
