# SPDX-License-Identifier: MIT
"""examples/explore.ipynb, from top to bottom in a kernel of its own."""

import sys

import pytest

from conftest import ROOT

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """Run, with the interpreter of the tests, wherever that keeps its kernels."""
    pytest.importorskip("ipykernel")
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class Here(AsyncKernelManager):
        kernel_spec = KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path_factory.mktemp("jupyter")))
        read = nbformat.read(ROOT / "examples" / "explore.ipynb", 4)
        runner = nbclient.NotebookClient(read, timeout=60, startup_timeout=60, kernel_manager_class=Here)
        return runner.execute(cwd=str(tmp_path_factory.mktemp("here")))


def shown(notebook, begin, kind="text/html"):
    """What the cell that begins so shows last."""
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.startswith(begin)]
    return cell.outputs[-1]["data"][kind]


def test_it_is_kept_without_outputs_and_valid():
    kept = nbformat.read(ROOT / "examples" / "explore.ipynb", 4)
    nbformat.validate(kept)
    assert all(not cell.outputs and cell.execution_count is None for cell in kept.cells if cell.cell_type == "code")


def test_no_cell_fails_or_complains(notebook):
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error" and output.get("name") != "stderr", output


def test_its_objects_draw_themselves(notebook):
    assert "library" in shown(notebook, "import codepipeline")
    assert "<svg" in shown(notebook, "site =") and "Gate" in shown(notebook, "site =")
    assert "2 of 40 tests failed" in shown(notebook, 'client.run("library").explain()')
    assert "Succeeded" in shown(notebook, "client.approvals")
    assert "deployments_per_day" in shown(notebook, "report =")


def test_frames_and_plots_are_there(notebook):
    assert "seconds" in shown(notebook, 'client.run("docs").timeline().to_frame()')
    assert len(shown(notebook, "report.plot()", "image/png")) > 5000


def test_a_cell_can_await(notebook):
    assert shown(notebook, "import asyncio", "text/plain") == "['assets', 'docs', 'library', 'payments', 'site']"
