"""A real Ray on this machine: its workers are killed, its results compared with one run's."""

import contextlib
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
from detectors import BLUE, RED, draw_squares, square_detector
from known_network import NAMES, save_known
from PIL import Image
from same_results import assert_same_overlays, assert_same_predictions
from tasks import make_job
from upath import UPath

from gradcam_cli import audit, compare
from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cluster import explain_on_cluster
from gradcam_cli.cluster.blocks import cut
from gradcam_cli.cluster.result_table import drop_older_rows, recorded_rows, write_part
from gradcam_cli.errors import ClusterError, ImageError, UnknownModelError, UsageError
from gradcam_cli.files.finding import InputPicture, find_pictures
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.models.labels import Prediction
from gradcam_cli.run.ready_job import make_ready
from gradcam_cli.run.records import PictureResult

OVERLAY = ["{stem}_gradcam.png"]
SHAPES = [(160, 120), (120, 160), (128, 128), (200, 100)]
BROKEN = "photos/set1/p019.jpg"


@pytest.fixture(scope="module")
def folder(samples, tmp_path_factory):
    """A folder with 40 pictures of four shapes, two of one name among them, and a broken one."""
    folder = tmp_path_factory.mktemp("cluster")
    rng = np.random.default_rng(0)
    sources = [Image.open(path).convert("RGB") for path in sorted(samples.glob("*.jpg"))]
    for number in range(40):
        source, (width, height) = sources[number % len(sources)], SHAPES[number % len(SHAPES)]
        left = rng.integers(0, source.width - 2 * width + 1)
        top = rng.integers(0, source.height - 2 * height + 1)
        box = left, top, left + 2 * width, top + 2 * height
        path = folder / "photos" / f"set{number % 3}" / f"p{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        source.resize((width, height), box=box).save(path)
    shutil.copy(path, path.with_suffix(".jpeg"))
    (folder / BROKEN).write_bytes(b"no picture")
    return folder


@pytest.fixture(autouse=True)
def in_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.fixture
def photos():
    return list(find_pictures(["photos"]))


@pytest.fixture(scope="module")
def two_workers():
    """A Ray with room for two workers, as a caller of the Python interface may have one."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def rows(folder):
    return pq.read_table(Path(folder) / "results").to_pylist()


def sorted_rows(folder):
    return sorted(rows(folder), key=lambda row: row["image"])


def told(row):
    return [
        Prediction(one["index"], one["name"], one["wnid"], one["probability"])
        for one in row["predictions"]
    ]


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

    assert sizes(160) == [64, 64, 32]
    assert sizes(66_560) == [65] * 1024


def test_a_wrong_address_is_told_at_once():
    # Where the caller is in a cluster already, that is used.
    assert not ray.is_initialized()
    address = "127.0.0.1:9"
    told = pytest.raises(ClusterError, match=f"^--ray {address}: cannot be reached \\(Connection")
    with told, explain_on_cluster([named("a.jpg")], make_job(address=address, out=Path("maps"))):
        pass
    told = pytest.raises(UsageError, match=r"^--ray ray://host:10001: Ray Data needs")
    with (
        told,
        explain_on_cluster(
            [named("a.jpg")], make_job(address="ray://host:10001", out=Path("maps"))
        ),
    ):
        pass


def result(name, target=None, **values):
    return PictureResult(InputPicture(Path(name), Path(), target), **values)


FACTS = [ExplainerFacts("gradcam", "a-model", "a_layer", True, False, "", "", "")]
PARTS = [f"part-0000{number}-{number:016x}.parquet" for number in range(4)]


def write(number, *results):
    write_part(Path("table", PARTS[number]), results, FACTS)


def keys(number):
    table = pq.read_table(Path("table", PARTS[number]))
    return [*zip(table["image"].to_pylist(), table["class"].to_pylist(), strict=True)]


@pytest.fixture
def no_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_part_keeps_the_rows_of_what_is_skipped(no_table):
    error = ImageError("broken")
    write(0, result("a"), result("b", "lynx"), result("b", "tabby"), result("c", error=error))
    assert recorded_rows(Path("table")) == {("a", None), ("b", "lynx"), ("b", "tabby")}
    write(0, result("a", skipped=True), result("b", "tabby"), result("b", "lynx", skipped=True))
    assert keys(0) == [("b", "tabby"), ("a", None), ("b", "lynx")]
    before = Path("table", PARTS[0]).stat().st_mtime_ns
    write(0, result("a", skipped=True), result("b", "lynx", skipped=True))
    assert Path("table", PARTS[0]).stat().st_mtime_ns == before
    # Its row is in another part, or nowhere.
    write(0, result("d"), result("e", skipped=True))
    assert keys(0) == [("d", None)]


def test_each_picture_keeps_one_row(no_table):
    table, error = Path("table"), ImageError("broken")
    write(0, result("a"), result("b", "lynx"), result("b", "tabby"), result("c"))
    write(1, result("d", error=error), result("e", error=error), result("f"))
    write(2, result("d"), result("f"), result("g"))
    mine = [Path("table/part-00000-0123456789abcdef.parquet"), Path("table/x")]
    for path in mine:
        path.write_text("mine")
    # One class of a picture anew in another part; nothing else is known of the other rows.
    write(3, result("b", "tabby"), result("c", skipped=True))
    drop_older_rows(table, [PARTS[3]], {("b", "tabby")})
    assert [keys(number) for number in range(4)] == [
        [("a", None), ("b", "lynx"), ("c", None)],
        [("e", None), ("f", None)],
        [("d", None), ("g", None)],
        [("b", "tabby")],
    ]
    # A run was stopped when it had written one of its parts; the next one skips what is in it.
    write(1, result("a"), result("b", "lynx"), result("c"), result("d"))
    drop_older_rows(table, PARTS[1:2], ())
    assert not Path("table", PARTS[0]).exists()
    assert [keys(number) for number in (1, 2, 3)] == [
        [("a", None), ("b", "lynx"), ("c", None), ("d", None)],
        [("g", None)],
        [("b", "tabby")],
    ]
    assert [path.read_text() for path in mine] == ["mine", "mine"]


def test_classes_of_one_picture_have_parts_of_their_own():
    names = {
        next(cut([InputPicture(Path("a.jpg"), Path(), target)], None)).part
        for target in (None, "lynx", "tabby")
    }
    assert len(names) == 3


@pytest.fixture(scope="module")
def of_one_run(folder):
    """What a run without a cluster gives, in the folder "single"."""
    with contextlib.chdir(folder):
        pictures = list(find_pictures(["photos"]))
        ready = make_ready(make_job(out=Path("single")), pictures)
        return ready, {str(result.picture.path): result for result in ready.explain(pictures)}


@pytest.fixture(scope="module")
def of_cluster(folder, two_workers, of_one_run):
    """What a cluster gives, in the folder "cluster", while one of its workers is killed."""
    with contextlib.chdir(folder):
        pictures, job = list(find_pictures(["photos"])), make_job(out=Path("cluster"), workers=2)
        with explain_on_cluster(pictures, job, block_size=3) as run:
            assert run.explainers == [of_one_run[0].explainers[0].facts]
            results = [next(run.results)]
            before = worker_processes()
            assert len(before) == 2
            victim = min(before)
            os.kill(victim, signal.SIGKILL)
            results += run.results
            assert victim not in worker_processes()
    return results


def test_a_killed_worker_loses_nothing(photos, of_cluster, of_one_run):
    _, expected = of_one_run
    assert sorted(str(result.picture.path) for result in of_cluster) == sorted(expected)
    for result in of_cluster:
        one = expected[str(result.picture.path)]
        assert_same_predictions(result.predictions, one.predictions, str(result.picture.path))
        assert str(result.error) == str(one.error)
        for target, same in zip(result.targets, one.targets, strict=True):
            assert target.output.relative_to("cluster") == same.output.relative_to("single")
    assert len(list(Path("cluster").rglob("*.png"))) == 40
    assert_same_overlays("cluster", "single")

    table = {row["image"]: row for row in rows("cluster")}
    assert len(rows("cluster")) == len(table) == len(photos)
    for path, row in table.items():
        one = expected[path]
        assert_same_predictions(told(row), one.predictions, path)
        outputs = [target["output"] for target in row["targets"]]
        assert outputs == [f"cluster{str(t.output).removeprefix('single')}" for t in one.targets]
    assert table[BROKEN]["error"].startswith(f"{BROKEN}: not a supported picture")


def test_a_run_on_a_cluster_goes_on(photos, of_cluster):
    """Skips what an earlier run has done, whichever way that has cut the pictures."""
    before = sorted_rows("cluster")
    shutil.copytree("cluster", "before")
    job = make_job(out=Path("cluster"), skip_existing=True, workers=1)
    Path("cluster/set0/p000_gradcam.png").unlink()
    first, *_, last = sorted(Path("cluster/results").iterdir())
    without_rows = pq.read_table(last)["image"].to_pylist()
    assert without_rows
    last.unlink()
    # As a run leaves it that was killed before it could tidy up.
    shutil.copy(first, first.with_name("part-00099-0123456789abcdef.parquet"))
    # The user has files there too.
    mine = [Path("cluster/results/part-00000-0123456789abcdef.parquet"), Path("cluster/results/x")]
    for path in mine:
        path.write_text("mine")
    with explain_on_cluster(photos, job, block_size=11) as run:
        results = {str(result.picture.path): result for result in run.results}
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    for path in mine:
        path.unlink()
    again = {path for path, result in results.items() if not result.skipped}
    assert len(results) == len(photos)
    assert again == {"photos/set0/p000.jpg", BROKEN, *without_rows}
    assert {path for path, result in results.items() if result.error is not None} == {BROKEN}
    assert_same_overlays("cluster", "before")
    now = sorted_rows("cluster")
    assert [row["image"] for row in now] == [row["image"] for row in before]
    for row, earlier in zip(now, before, strict=True):
        if row["image"] in again:
            assert_same_predictions(*map(told, (row, earlier)), row["image"])
        else:
            assert row == earlier

    times = {path: path.stat().st_mtime_ns for path in Path("cluster").rglob("*")}
    whole = [picture for picture in photos if str(picture.path) != BROKEN]
    with explain_on_cluster(whole, job) as run:
        assert [result.skipped for result in run.results] == [True] * 40
    assert {path: path.stat().st_mtime_ns for path in Path("cluster").rglob("*")} == times


def test_an_audit_comes_back(two_workers, tmp_path, save_picture):
    for number in range(4):
        save_picture(tmp_path / "photos" / NAMES[number % 2] / f"{number}.png", seed=number)
    (tmp_path / "photos" / NAMES[0] / "torn.png").write_bytes(b"no picture")
    options = {"model": str(save_known(tmp_path)), "preprocess": "0-1", "truth": "folders"}
    there = audit(tmp_path / "photos", **options, ray="local", out=tmp_path / "there")
    here = audit(tmp_path / "photos", **options)
    assert [one.path for one in there.observations] == [one.path for one in here.observations]
    assert there.accuracy == here.accuracy
    assert there.classes == here.classes
    assert there.failed == here.failed
    np.testing.assert_allclose(there.mean_maps[0].heat, here.mean_maps[0].heat, atol=1e-5)
    made = {path.name for path in (tmp_path / "there").iterdir()}
    assert {"audit.html", "audit.csv", "audit_files"} <= made
    assert "results" not in made
    with pytest.raises(UsageError, match="labels"):
        audit(tmp_path / "photos", **options, labels=NAMES, ray="local")


def test_a_comparison_comes_back(two_workers, tmp_path, save_picture):
    for number in range(2):
        save_picture(tmp_path / "photos" / f"{number}.png", seed=number)
    (tmp_path / "photos" / "torn.png").write_bytes(b"no picture")
    options = {
        "models": [save_known(tmp_path)],
        "preprocess": "0-1",
        "methods": ("gradcam", "ablationcam"),
    }
    there = compare(tmp_path / "photos", **options, ray="local", out=tmp_path / "there")
    here = compare(tmp_path / "photos", **options)
    assert [one.path for one in there.pictures] == [one.path for one in here.pictures]
    assert list(there.errors) == list(here.errors)
    assert there.correlation.mean == pytest.approx(here.correlation.mean, abs=1e-3)
    assert (tmp_path / "there" / "most_different_1.png").exists()


def test_objects_are_explained_and_told_in_the_table(two_workers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    square_detector(names=("boxes_xyxy", "scores")).save("squares.keras")
    Path("photos").mkdir()
    draw_squares([(8, 8, 20, RED), (36, 8, 20, RED)]).resize((192, 96), 0).save("photos/a.png")
    draw_squares([(8, 60, 20, BLUE)]).save("photos/b.png")
    draw_squares([]).save("photos/empty.png")
    job = make_job(model="squares.keras", preprocess="none", out=Path("maps"), workers=1)
    with explain_on_cluster(list(find_pictures(["photos"])), job) as run:
        results = {result.picture.path.name: result for result in run.results}
    table = {Path(row["image"]).name: row for row in rows("maps")}
    objects = {
        name: sorted((one["index"], *one["object"]) for one in row["targets"])
        for name, row in table.items()
    }
    assert objects == {
        "a.png": [(0, 16, 8, 56, 28), (0, 72, 8, 112, 28)],
        "b.png": [(1, 8, 60, 28, 80)],
        "empty.png": [],
    }
    assert "no object with a score of at least 0.5" in table["empty.png"]["note"]
    assert table["a.png"]["note"] is None
    for name, row in table.items():
        assert all(Path(one["output"]).is_file() for one in row["targets"])
        assert [target.detected.index for target in results[name].targets] == [
            one["index"] for one in row["predictions"]
        ]
    here = make_job(model="squares.keras", preprocess="none", out=Path("here"))
    assert len(list(make_ready(here, []).explain(find_pictures(["photos"])))) == 3
    assert_same_overlays("maps", "here")


def test_what_is_wrong_with_a_job_is_said_once(photos, two_workers):
    refused = pytest.raises(UnknownModelError, match="there is no model and no file 'nix'")
    job = make_job(model="nix", out=Path("maps"), workers=1)
    with refused, explain_on_cluster(photos, job):
        pass
    assert not Path("maps").exists()


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (make_job(), "--ray needs --out"),
        (
            make_job(out=Path("maps"), report=Path("report.html")),
            "--report collects all pictures on one machine",
        ),
        (make_job(out=UPath("memory://maps")), "memory://maps: several workers can't share"),
        (make_job(out=UPath("http://host/maps")), "http:// addresses are read-only"),
    ],
)
def test_what_a_cluster_cannot_do(job, message):
    with pytest.raises(UsageError, match=message), explain_on_cluster([named("a.jpg")], job):
        pass


def test_the_command_is_as_quiet_as_without_a_cluster(folder, run_gradcam, tmp_path):
    shutil.copytree(folder / "photos/set1", tmp_path / "photos")
    result = run_gradcam("photos", "--out", "maps", "--ray", "local", "--json")
    assert result.returncode == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    images = [line["image"] for line in lines]
    assert sorted(images) == sorted(row["image"] for row in rows(tmp_path / "maps"))
    assert len(images) == 13
    error, summary = result.stderr.splitlines()
    assert error.startswith("Error: photos/p019.jpg: not a supported picture")
    assert summary.startswith("12 pictures explained, 1 failed in ")


def test_ray_has_to_be_installed(command_environment):
    code = "import sys; sys.modules['ray'] = None\nfrom gradcam_cli.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "photos", "--out", "maps", "--ray", "local"],
        env=command_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == (
        "Error: --ray needs a package that isn't installed (ray): pip install 'gradcam-cli[ray]'\n"
    )
