"""oneDNN is turned on where it is faster, and by nobody where somebody has decided."""

import platform
import subprocess
import sys

import pytest

from gradcam_cli.runtime.onednn import VARIABLE, gains_from_onednn

# What Linux says of some processors, shortened.
OLD = "fpu tsc cx8 mmx fxsr sse sse2 ht syscall nx lm"
EPYC = f"{OLD} pni ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx f16c rdrand avx2 bmi2"
SKYLAKE_X = f"{EPYC} avx512f avx512dq avx512cd avx512bw avx512vl"
CPUINFO = "processor\t: 0\nmodel name\t: {name}\nflags\t\t: {flags}\nbugs\t\t: spectre_v1\n\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd aes sha2 crc32 atomics avx2 fma\n"
needs_x86 = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="TensorFlow leaves oneDNN off on some x86-64 processors, under Linux",
)


@pytest.mark.parametrize(
    ("name", "flags", "gains"),
    [
        ("Intel Core 2 Duo E8400", f"{OLD} pni ssse3 cx16 sse4_1", False),
        ("Intel Core i7-2600", EPYC.replace(" fma", "").replace(" avx2", ""), False),
        ("AMD EPYC 7763", EPYC, True),
        ("Intel Xeon Gold 6148", SKYLAKE_X, True),
        ("Intel Xeon Platinum 8275CL", f"{SKYLAKE_X} avx512_vnni", False),
        ("Intel Core i5-12400", f"{EPYC} avx_vnni", False),
        ("AMD EPYC 9654", f"{SKYLAKE_X} avx512_bf16 avx512_vnni avx512_bitalg", False),
    ],
)
def test_what_tensorflow_leaves_off_is_turned_on_for_processors_with_avx2(name, flags, gains):
    assert gains_from_onednn(CPUINFO.format(name=name, flags=flags) * 2) is gains


@pytest.mark.parametrize("cpuinfo", ["", "flags", ARM])
def test_nothing_is_chosen_for_processors_that_are_none_of_these(cpuinfo):
    assert not gains_from_onednn(cpuinfo)


@pytest.fixture
def run_python(command_environment, tmp_path):
    """Runs lines in a Python of its own, on an AMD EPYC as far as gradcam can see."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(CPUINFO.format(name="AMD EPYC 7763", flags=EPYC))
    first = [
        "import os",
        "from gradcam_cli.runtime import onednn, processor",
        f"processor.CPUINFO = {str(cpuinfo)!r}",
        f"def setting(): return os.environ.get({VARIABLE!r})",
    ]

    def run(*lines, **environment):
        clean = {key: value for key, value in command_environment.items() if key != VARIABLE}
        done = subprocess.run(
            [sys.executable, "-c", "\n".join([*first, *lines])],
            env=clean | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return run


# What TensorFlow made of it.
TELL = ("from gradcam_cli.networks.internals import has_onednn_on", "print(has_onednn_on())")


@needs_x86
def test_programs_have_it_on_where_it_is_faster(run_python):
    before = ("import gradcam_cli", "print(setting())")
    after = ("from gradcam_cli import GradCAM", "print(setting(), onednn.users_setting())")
    # TensorFlow wouldn't look again.
    late = (f"del os.environ[{VARIABLE!r}]", "onednn.choose_onednn()", "print(setting())")
    told = run_python(*before, *after, *late, *TELL)
    assert told == ["None", "1", "None", "None", "True"]


@needs_x86
def test_what_the_user_set_is_left(run_python):
    told = run_python("onednn.choose_onednn()", "print(setting())", **{VARIABLE: "0"})
    assert told == ["0"]


def test_metrics_have_it_on_too(run_python):
    assert run_python("import gradcam_cli.evaluation", "print(setting())") == ["1"]


@needs_x86
def test_workers_do_what_was_set_where_the_run_was_started(run_python):
    start = [
        "from gradcam_cli.cluster.worker import Worker",
        "from gradcam_cli.run.job import Job",
        "from gradcam_cli.runtime.cores import Parallelism",
        "Worker(Job(), Parallelism(), [], os.getcwd(), '0')",
    ]
    assert run_python(*start, *TELL, **{VARIABLE: "1"}) == ["False"]


@needs_x86
def test_verbose_says_who_decided_and_each_setting_has_its_graph(run_gradcam, samples, tmp_path):
    cache = tmp_path / "cache"
    for setting, state in ("0", "off"), ("1", "on"):
        environment = {"XDG_CACHE_HOME": str(cache), VARIABLE: setting}
        done = run_gradcam(samples / "dog.jpg", "--out", tmp_path / "out", "-v", **environment)
        assert f"oneDNN {state}, as {VARIABLE}={setting} says" in done.stderr
    assert len(list((cache / "gradcam" / "graphs").iterdir())) == 2
