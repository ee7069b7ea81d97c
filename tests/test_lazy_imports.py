"""Modules whose import is put off are there for everybody, as soon as somebody uses them."""

import importlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest

from gradcam_cli.runtime.lazy_imports import lazy_imports

# What a library does with a module that may not be there.
LIBRARY = """
try:
    import slow
except ImportError:
    slow = None
try:
    import package.slow as inner
    from package import other
except ImportError:
    inner = None
def use():
    return slow.answer()
"""
SLOW = """
import time; time.sleep(0.1)
with open(__file__[: __file__.index("modules")] + "modules/executed", "a") as file:
    print(__name__, file=file)
def answer(): return 42
"""
NAMES = ("slow", "package.slow", "package.other")


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Modules that were never imported, to be imported by `NAMES`."""
    tmp_path /= "modules"
    (tmp_path / "package").mkdir(parents=True)
    for path in "slow.py", "package/__init__.py", "package/slow.py", "package/other.py":
        (tmp_path / path).write_text("" if "init" in path else SLOW)
    (tmp_path / "library.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in (*NAMES, "package", "library"):
        sys.modules.pop(name, None)


def import_library(names=NAMES):
    with lazy_imports(names):
        return importlib.import_module("library")


def test_a_module_is_executed_when_it_is_used(modules):
    library = import_library()
    assert library.slow is not None
    assert not (modules / "executed").exists()
    assert library.use() == 42
    assert library.inner.answer() == library.other.answer() == 42
    assert sorted((modules / "executed").read_text().split()) == sorted(NAMES)


def test_who_imports_it_afterwards_gets_the_same_module(modules):
    library = import_library()
    for name in NAMES:
        module = importlib.import_module(name)
        assert module.answer() == 42
        assert type(module) is ModuleType
    assert library.slow is sys.modules["slow"]
    assert sys.modules["package"].slow is library.inner
    assert all(type(finder).__module__ != lazy_imports.__module__ for finder in sys.meta_path)


def test_a_library_may_use_it_while_it_is_imported(modules):
    (modules / "library.py").write_text(LIBRARY + "import slow\nfound = slow.answer, use()\n")
    assert import_library().found == (sys.modules["slow"].answer, 42)


def test_what_is_missing_is_missing_at_once(modules):
    (modules / "slow.py").unlink()
    (modules / "package" / "slow.py").unlink()
    library = import_library()
    assert library.slow is None
    assert library.inner is None


def test_what_is_there_already_is_used(modules):
    slow = importlib.import_module("slow")
    assert import_library().slow is slow


@pytest.mark.parametrize("name", NAMES)
def test_another_thread_imports_and_uses_it_meanwhile(modules, name):
    def take():
        return importlib.import_module(name).answer()

    with ThreadPoolExecutor(1) as threads, lazy_imports(NAMES):
        taken = threads.submit(take)
        library = importlib.import_module("library")
        assert taken.result() == 42
    assert library.use() == 42


# Keras draws and trains with what was put off; another thread imports some of it in the middle, or
# nobody does.
DRAW = """
import os, sys, threading
def draw_meanwhile():
    while "keras" not in sys.modules: pass
    import matplotlib.pyplot as plt
    from matplotlib import patches
    used.append((plt.subplots, patches.Patch))
used = []
thread = threading.Thread(target=draw_meanwhile)
if MEANWHILE: thread.start()
from gradcam_cli.runtime.tensorflow_import import import_tensorflow
import_tensorflow()
if MEANWHILE: thread.join()
print("matplotlib.backend_bases" in sys.modules)
print({"pandas", "sklearn"} & set(sys.modules) or "nothing")
import keras, numpy as np
keras.visualization.plot_image_gallery(np.zeros((4, 8, 8, 3)), rows=2, cols=2, path="drawn.png")
import matplotlib.pyplot as plt
from matplotlib import patches
# TensorFlow has an SSL library of its own, which must not be taken for Python's.
import ssl
assert ssl.create_default_context().get_ciphers()
print(os.path.exists("drawn.png"), used in ([], [(plt.subplots, patches.Patch)]))
inputs = keras.Input((2,))
model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
model.compile(loss="mse")
rows = np.zeros((8, 2)), np.zeros(8)
print("val_loss" in model.fit(*rows, validation_split=0.5, verbose=0).history)
# Older ones have none.
if hasattr(keras, "wrappers"): assert keras.wrappers.SKLearnRegressor(model).model is model
"""


@pytest.mark.parametrize("meanwhile", [False, True])
def test_keras_works_with_what_was_put_off(command_environment, tmp_path, meanwhile):
    done = subprocess.run(
        [sys.executable, "-c", f"MEANWHILE = {meanwhile}{DRAW}"],
        cwd=tmp_path,
        env=command_environment | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(meanwhile), "nothing", "True", "True", "True"]
