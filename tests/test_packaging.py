"""What is released: the archives, and that they agree with what the source says."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from gradcam_cli.version import __version__

ROOT = Path(__file__).resolve().parent.parent
NAME = f"gradcam_cli-{__version__}"


def succeed(*command, **options):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tracked():
    """The files of the project that are there, by their paths in it."""
    listed = succeed("git", "ls-files", "-z", cwd=ROOT).split("\0")
    return {path for path in listed if path and (ROOT / path).is_file()}


@pytest.fixture(scope="module")
def archives(tracked, tmp_path_factory):
    """The folder with the archives, built from nothing but what is tracked."""
    source = tmp_path_factory.mktemp("source")
    for path in tracked:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, source / path)
    built = tmp_path_factory.mktemp("built")
    succeed(sys.executable, "-m", "build", "--no-isolation", "--outdir", built, source)
    return built


@pytest.fixture(scope="module")
def wheel(archives):
    return archives / f"{NAME}-py3-none-any.whl"


def of_package(tracked):
    return {path for path in tracked if path.startswith("gradcam_cli/")}


def test_the_archives_can_be_uploaded(archives):
    assert len(list(archives.iterdir())) == 2
    succeed(sys.executable, "-m", "twine", "check", "--strict", *archives.iterdir())


def test_the_wheel_holds_the_package_and_nothing_else(wheel, tracked):
    about = {
        f"{NAME}.dist-info/{name}"
        for name in (
            "METADATA",
            "RECORD",
            "WHEEL",
            "entry_points.txt",
            "licenses/LICENSE",
            "top_level.txt",
        )
    }
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == of_package(tracked) | about


def test_the_source_archive_holds_what_a_build_needs_and_nothing_else(archives, tracked):
    with tarfile.open(archives / f"{NAME}.tar.gz") as archive:
        files = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {"PKG-INFO", "setup.cfg"} | {
        path for path in files if path.startswith("gradcam_cli.egg-info/")
    }
    needed = {"LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"}
    assert files == of_package(tracked) | needed | made


def test_what_is_installed_from_the_wheel_explains_a_picture(wheel, tmp_path, command_environment):
    installed = tmp_path / "installed"
    succeed(
        *(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"),
        *("--disable-pip-version-check", "--target", installed, wheel),
    )
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = command_environment | {"PYTHONPATH": str(installed)}
    where = "import gradcam_cli; print(gradcam_cli.__file__)"
    found = succeed(sys.executable, "-c", where, cwd=folder, env=environment)
    assert Path(found.strip()).is_relative_to(installed)
    command = installed / "bin" / "gradcam"
    picture = ROOT / "sample_images" / "dog.jpg"
    options = ("--out", "maps", "--report", "maps/page.html")
    told = succeed(command, picture, *options, cwd=folder, env=environment)
    assert "German shepherd" in told
    assert (folder / "maps" / "page.html").stat().st_size > 100_000


def test_whom_to_cite_and_what_changed_are_of_this_version():
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    assert cited is not None
    assert cited[1] == __version__
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    released = re.findall(r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$", changes, re.MULTILINE)
    # What isn't released yet has no version.
    assert released[:1] in ([], [__version__])


def test_the_oldest_run_is_of_the_oldest_that_is_admitted():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    bounds = dict(
        re.match(r"([\w-]+)[>=]=([\d.]+)", entry).groups() for entry in project["dependencies"]
    )
    lines = (ROOT / "tests" / "oldest.txt").read_text("utf-8").splitlines()
    oldest = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert oldest == bounds
    assert len(oldest) > 10
    python = project["requires-python"].removeprefix(">=")
    assert f"python{python}" in (ROOT / "tests" / "run_oldest").read_text("utf-8")
    assert f"Programming Language :: Python :: {python}" in project["classifiers"]
