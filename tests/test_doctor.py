"""`gradcam doctor`: what it prints of a good installation and of a broken one."""

import json
import os
import re
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from gradcam_cli import __version__


def test_a_good_installation_is_described_in_aligned_lines(run_gradcam, tmp_path):
    ran = run_gradcam(
        "doctor", HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "secret"),
        TF_ENABLE_ONEDNN_OPTS="0",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert "\x1b" not in ran.stdout
    for private in (str(tmp_path), os.path.dirname(keras.__file__)):
        assert private not in ran.stdout
    facts = dict(line.split("  ", 1) for line in ran.stdout.splitlines())
    facts = {name: value.strip() for name, value in facts.items()}
    assert facts["gradcam"] == __version__
    assert facts["TensorFlow"] == tf.__version__
    assert facts["Keras"] == keras.__version__
    assert facts["cache folder"] == "$XDG_CACHE_HOME/gradcam (not created yet)"
    assert facts["oneDNN"] == "off, as TF_ENABLE_ONEDNN_OPTS=0 says"
    assert "TF_ENABLE_ONEDNN_OPTS=0" in facts["settings"]
    assert facts["terminal"].startswith("none")
    assert "extra hub" in facts
    assert len({re.match(r".*?\S  +", line).end() for line in ran.stdout.splitlines()}) == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("raise ImportError(f'{__file__}: the library is damaged')", "the library is damaged"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "SIGILL"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signal")
def test_a_broken_tensorflow_is_reported_beside_all_else(
    run_gradcam, command_environment, tmp_path, line, told
):
    broken = tmp_path / "hidden" / "tensorflow"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text(line)
    path = os.pathsep.join([str(broken.parent), command_environment["PYTHONPATH"]])
    ran = run_gradcam("doctor", "--json", PYTHONPATH=path)
    assert ran.returncode == 1
    assert ran.stderr.startswith("Error: TensorFlow cannot be used: ")
    assert ran.stderr.count("\n") == 1
    assert told in ran.stderr
    facts = json.loads(ran.stdout)
    assert told in facts["tensorflow"]
    assert str(tmp_path) not in ran.stdout + ran.stderr
    assert facts["python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert facts["cores"] >= 1
    assert Path(facts["weights_folder"].split(" (")[0]).name == "models"
