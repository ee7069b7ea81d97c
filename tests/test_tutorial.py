"""The tutorial runs as it stands, and its own cells check what they show."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "docs/tutorial.ipynb"


@pytest.fixture(scope="module")
def code():
    """The cells with code, before they run."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def test_it_is_stored_without_results(code):
    assert not any(cell.outputs or cell.execution_count for cell in code)


def test_it_runs(command_environment, tmp_path, monkeypatch):
    environment = command_environment | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        # Jupyter's own files, and the folder that the notebook makes for itself.
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "TMPDIR": str(tmp_path),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    # What the shell's commands did is checked by nobody else.
    assert "suspension bridge" in text
    assert "last_maps" in text
    assert "Error" not in text
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4
