"""A real Ray on this machine: its workers are killed, its results compared byte for byte."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import ray
from PIL import Image
from upath import UPath

from gradcam_cli.cluster import explain_on_cluster
from gradcam_cli.cluster.blocks import cut
from gradcam_cli.errors import ClusterError, UnknownModelError, UsageError
from gradcam_cli.inputs import InputPicture, find_pictures
from gradcam_cli.job import Job, make_ready
from gradcam_cli.outputs import OutputNamer

OVERLAY = ["_gradcam.png"]
SHAPES = [(160, 120), (120, 160), (128, 128), (200, 100)]


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def two_workers():
    """A Ray with room for two workers, as a caller of the Python interface may have one."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def photos(samples, tmp_path):
    """64 pictures of four shapes, among them two of one name, and one that is broken."""
    rng = np.random.default_rng(0)
    sources = [Image.open(path).convert("RGB") for path in sorted(samples.glob("*.jpg"))]
    for number in range(64):
        source, (width, height) = sources[number % len(sources)], SHAPES[number % len(SHAPES)]
        left = rng.integers(0, source.width - 2 * width + 1)
        top = rng.integers(0, source.height - 2 * height + 1)
        box = left, top, left + 2 * width, top + 2 * height
        path = tmp_path / "photos" / f"set{number % 3}" / f"p{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        source.resize((width, height), box=box).save(path)
    shutil.copy(path, path.with_suffix(".jpeg"))
    (tmp_path / "photos/set1/p019.jpg").write_bytes(b"no picture")
    return list(find_pictures(["photos"]))


def overlays(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in Path(folder).rglob("*.png")
    }


def rows(folder):
    return pq.read_table(Path(folder) / "results").to_pylist()


def worker_processes():
    """The process ids of Ray's workers that descend from this process."""
    listed = subprocess.run(
        ["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
    )
    children = {}
    for line in listed.stdout.splitlines()[1:]:
        pid, parent, command = line.split(None, 2)
        children.setdefault(int(parent), []).append((int(pid), command))
    found, ancestors = set(), [os.getpid()]
    while ancestors:
        for pid, command in children.get(ancestors.pop(), []):
            ancestors.append(pid)
            if command.startswith("ray::MapWorker"):
                found.add(pid)
    return found


def named(name, folder="", root=""):
    return InputPicture(Path(root, folder, name), Path(folder))


TRICKY = [
    *(named(name) for name in ("a.jpg", "a.png", "b.jpg", "a_jpg.png", "A.webp", "a_jpg_2.gif")),
    *(named("x.jpg", root=root) for root in ("one", "two", "three")),
    *(named("x.jpg", "sub", root) for root in ("one", "two")),
    *(named(f"{'long' * 60}{number}.jpg") for number in range(2)),
    *(named(f"IMG_{number:04}.jpg") for number in range(12)),
    *(named(name) for name in ("IMAGE", "IMAGE_2.jpg", "d", "d_2.png", "a.b.jpg", "a.b.png")),
]


@pytest.mark.parametrize("out", [Path("maps"), None])
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_blocks_name_files_as_one_run_does(out, size):
    of_one_run = OutputNamer(out)
    expected = {picture: of_one_run.name(picture, OVERLAY) for picture in TRICKY}
    blocks = list(cut(TRICKY, out, size))
    found = {}
    for block in blocks:
        namer = OutputNamer(out, block.taken)
        found |= {picture: namer.name(picture, OVERLAY) for picture in block.pictures}
    assert found == expected
    assert sum(len(block.pictures) for block in blocks) == len(TRICKY)
    assert [block.index for block in blocks] == list(range(len(blocks)))
    assert len({block.part for block in blocks}) == len(blocks)
    if size == 1:
        # A numbered series isn't taken for one name.
        assert sum(len(block.pictures) == 1 for block in blocks) >= 12


def test_blocks_know_what_is_in_a_store():
    store = fsspec.filesystem("memory")
    store.store.clear()
    for name in ("a", "a_jpg", "a_jpg_2", "a_b_png", "IMG_0003", "IMG_00030", "c", "d_2"):
        store.pipe_file(f"/maps/{name}_gradcam.png", b"mine")
    store.pipe_file("/maps/sub/x_gradcam.png", b"mine")
    out = UPath("memory://maps")
    of_one_run = OutputNamer(out)
    expected = {picture: of_one_run.name(picture, OVERLAY) for picture in TRICKY}
    (block,) = cut(TRICKY, out, 100)
    namer = OutputNamer(out, block.taken)
    found = {picture: namer.name(picture, OVERLAY) for picture in block.pictures}
    assert found == expected
    of_one_picture = next(cut([named("IMG_0003.jpg")], out))
    assert of_one_picture.taken == {"memory://maps": {"IMG_0003_gradcam.png"}}


def test_the_size_of_blocks_follows_the_number_of_pictures():
    def sizes(number):
        return [len(b.pictures) for b in cut([named(f"{n}.jpg") for n in range(number)], None)]

    assert sizes(40) == [16, 16, 8]
    assert sizes(40_960) == [40] * 1024


def test_a_wrong_address_is_told_at_once():
    # Where the caller is in a cluster already, that is used.
    assert not ray.is_initialized()
    address = "127.0.0.1:9"
    told = pytest.raises(ClusterError, match=f"^--ray {address}: cannot be reached \\(Connection")
    with told, explain_on_cluster([named("a.jpg")], Job(out=Path("maps")), address):
        pass
    told = pytest.raises(UsageError, match=r"^--ray ray://host:10001: Ray Data needs")
    with told, explain_on_cluster([named("a.jpg")], Job(out=Path("maps")), "ray://host:10001"):
        pass


def test_a_killed_worker_loses_nothing(photos, two_workers):
    single = make_ready(Job(out=Path("single")), photos)
    expected = {str(result.picture.path): result for result in single.explain(photos)}

    job = Job(out=Path("cluster"))
    with explain_on_cluster(photos, job, workers=2, block_size=4) as run:
        assert run.explainers == [single.explainers[0].facts]
        results = [next(run.results)]
        before = worker_processes()
        assert len(before) == 2
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        results += run.results
        assert victim not in worker_processes()

    assert sorted(str(result.picture.path) for result in results) == sorted(expected)
    for result in results:
        one = expected[str(result.picture.path)]
        assert result.predictions == one.predictions
        assert str(result.error) == str(one.error)
        for target, same in zip(result.targets, one.targets, strict=True):
            assert target.output.relative_to("cluster") == same.output.relative_to("single")
    written = overlays("cluster")
    assert len(written) == 64
    assert written == overlays("single")

    table = {row["image"]: row for row in rows("cluster")}
    assert len(rows("cluster")) == len(table) == len(photos)
    for path, row in table.items():
        one = expected[path]
        assert row["predictions"] == [vars(prediction) for prediction in one.predictions]
        outputs = [target["output"] for target in row["targets"]]
        assert outputs == [f"cluster{str(t.output).removeprefix('single')}" for t in one.targets]
    broken = table["photos/set1/p019.jpg"]
    assert broken["error"].startswith("photos/set1/p019.jpg: not a picture")

    # Half of the pictures again, in other blocks, where the user has files too.
    mine = [Path("cluster/results/part-00000-0123456789abcdef.parquet"), Path("cluster/results/x")]
    for path in mine:
        path.write_text("mine")
    with explain_on_cluster(photos[::2], job, workers=2, block_size=9) as run:
        assert len(list(run.results)) == 33
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    for path in mine:
        path.unlink()
    assert overlays("cluster") == written
    assert sorted(rows("cluster"), key=lambda row: row["image"]) == sorted(
        table.values(), key=lambda row: row["image"]
    )
    # And all of them: nothing is left of the parts of both runs.
    parts = set(os.listdir("cluster/results"))
    with explain_on_cluster(photos, job, workers=2, block_size=20) as run:
        assert len(list(run.results)) == 65
    assert not parts & set(os.listdir("cluster/results"))
    assert len(rows("cluster")) == 65


def test_what_is_wrong_with_a_job_is_said_once(photos, two_workers):
    refused = pytest.raises(UnknownModelError, match="there is no model 'nix'")
    with refused, explain_on_cluster(photos, Job(model="nix", out=Path("maps"))):
        pass
    assert not Path("maps").exists()


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (Job(), "--ray needs --out"),
        (Job(out=Path("maps"), report=True), "--report gathers all pictures on one machine"),
        (Job(out=UPath("memory://maps")), "memory://maps: the memory of one process"),
        (Job(out=UPath("http://host/maps")), "nothing can be written to http://"),
    ],
)
def test_what_a_cluster_cannot_do(job, message):
    with pytest.raises(UsageError, match=message), explain_on_cluster([named("a.jpg")], job):
        pass


def test_the_command_is_as_quiet_as_without_a_cluster(photos, run_gradcam):
    result = run_gradcam("photos/set1", "--out", "maps", "--ray", "local", "--json")
    assert result.returncode == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["image"] for line in lines} == {row["image"] for row in rows("maps")}
    assert len(lines) == 21
    error, summary = result.stderr.splitlines()
    assert error.startswith("Error: photos/set1/p019.jpg: not a picture that can be read")
    assert summary.startswith("20 pictures explained, 1 failed in ")


def test_ray_has_to_be_installed(photos, command_environment, tmp_path):
    code = "import sys; sys.modules['ray'] = None\nfrom gradcam_cli.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "photos", "--out", "maps", "--ray", "local"],
        env=command_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == (
        "Error: --ray needs a package that isn't installed (ray): pip install 'gradcam-cli[ray]'\n"
    )
