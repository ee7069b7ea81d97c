import contextlib
import functools
import http.server
import subprocess
import sys
import threading
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from click.testing import CliRunner
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image
from same_results import assert_same_files
from upath import UPath

from gradcam_cli import explain_image
from gradcam_cli.cli import main
from gradcam_cli.errors import ImageError, OutputError, StorageError, UsageError
from gradcam_cli.files.finding import InputPicture, find_pictures
from gradcam_cli.files.marks import is_result_of, mark, source_id
from gradcam_cli.files.naming import OutputNamer, check_places
from gradcam_cli.files.storage import to_path
from gradcam_cli.files.writing import written_whole
from gradcam_cli.pictures.reading import read_picture

# The model's name and its preprocessing aren't the defaults.
VARIANT = "_small_0-1"


@pytest.fixture(autouse=True)
def memory(tmp_path, monkeypatch):
    """fsspec's memory file system, empty; and an empty current folder."""
    monkeypatch.chdir(tmp_path)
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    return store


@pytest.fixture
def photos(tmp_path, samples, memory):
    """The same tree of pictures on the disk and in memory."""
    for sample, name in (("bee", "bee"), ("cat", "pets/cat"), ("dog", "pets/old/cat")):
        path = tmp_path / "photos" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(samples / f"{sample}.jpg") as picture:
            picture.thumbnail((240, 240))
            picture.save(path)
    memory.put("photos", "/photos", recursive=True)
    return tmp_path / "photos"


@pytest.fixture
def web(tmp_path):
    """A web server of the current folder."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def small(small_model, tmp_path_factory):
    """The options for a model that is loaded in no time: what is here doesn't depend on it."""
    path = tmp_path_factory.mktemp("model") / "small.keras"
    small_model(size=64).save(path)
    return "--model", path, "--preprocess", "0-1"


def gradcam(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def below(folder):
    """Every file below a local folder or a URL, with its bytes."""
    if isinstance(folder, Path):
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    store, root = fsspec.url_to_fs(folder)
    return {path.removeprefix(f"{root}/"): store.cat_file(path) for path in store.find(root)}


@pytest.mark.parametrize(
    "name", ["photos/cat.jpg", "C:\\photos", "C:/photos", "c://photos", "a:b.jpg", "s3:/x", "://x"]
)
def test_what_is_no_url_is_a_local_path(name):
    assert to_path(name) == Path(name)


def test_file_urls_are_local(tmp_path):
    assert to_path(f"file://{tmp_path}/my photos") == tmp_path / "my photos"


def test_a_store_is_found_by_its_url():
    path = to_path("memory://bucket/photos/cat.jpg")
    assert str(path.parent / "x.png") == "memory://bucket/photos/x.png"
    assert to_path(path) is path


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    result = gradcam("gs://bucket/photos")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: gs://bucket/photos: gs:// needs a package that isn't installed: pip install gcsfs\n"
    )
    with pytest.raises(UsageError, match="foo:// URLs are not supported"):
        to_path("foo://bucket/photos")


def test_stores_are_searched_as_folders_are(tmp_path, memory):
    for name in (
        *("b.jpg", "a.PNG", "sub/y.jpg", "sub/deep/x.jpg", "sub/a.txt", "other/b.jpg", "zoo/a.gif"),
        *(".git/z.jpg", ".hidden.jpg", "report/.gradcam-report", "report/a.jpg", "report/b/a.jpg"),
    ):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    memory.put("tree", "/bucket/tree", recursive=True)
    found = [(p.path.as_posix(), p.folder) for p in find_pictures(["tree"])]
    assert [path for path, _ in found] == [
        *("tree/a.PNG", "tree/b.jpg", "tree/other/b.jpg", "tree/sub/y.jpg", "tree/sub/deep/x.jpg"),
        "tree/zoo/a.gif",
    ]
    urls = ["memory://bucket/tree", "memory://bucket/tree/sub/", "memory://bucket/tree/b.jpg"]
    assert [(str(p.path), p.folder) for p in find_pictures(urls)] == [
        (f"memory://bucket/{path}", folder) for path, folder in found
    ]


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("memory://photos", "memory://maps"),
        ("file://{here}/photos", "file://{here}/maps"),
        ("photos", "memory://maps"),
        ("memory://photos", "maps"),
    ],
)
def test_results_are_the_same_wherever_they_lie(photos, tmp_path, small, source, out):
    assert gradcam("photos", "--out", tmp_path / "expected", *small).exit_code == 0
    expected = below(tmp_path / "expected")
    assert sorted(expected) == [
        f"bee_gradcam{VARIANT}.png",
        f"pets/cat_gradcam{VARIANT}.png",
        f"pets/old/cat_gradcam{VARIANT}.png",
    ]
    source, out = source.format(here=tmp_path), out.format(here=tmp_path)
    result = gradcam(source, "--out", out, *small)
    assert (result.exit_code, result.stderr.count("3 pictures explained")) == (0, 1)
    first = below(out if out.startswith("memory") else tmp_path / "maps")
    assert first.keys() == expected.keys()
    if source.startswith("memory") == out.startswith("memory"):
        assert_same_files(first, expected)
    # Again, in the place of the first.
    assert gradcam(source, "--out", out, *small).exit_code == 0
    assert_same_files(below(out if out.startswith("memory") else tmp_path / "maps"), first)


def test_results_beside_their_pictures_in_a_store(photos, memory, small):
    for _ in range(2):
        result = gradcam("memory://photos", "--heatmap", "npy", "--figure", "pdf", *small)
        assert result.exit_code == 0
        assert sorted(name for name in below("memory://photos") if "bee" in name) == [
            "bee.jpg",
            f"bee_gradcam{VARIANT}.png",
            f"bee_gradcam{VARIANT}_figure.pdf",
            f"bee_heatmap{VARIANT}.npy",
        ]
    assert len(below("memory://photos")) == 12


def test_nothing_of_the_users_is_overwritten_in_a_store(photos, memory, small):
    memory.pipe_file(f"/maps/bee_gradcam{VARIANT}.png", b"mine")
    memory.pipe_file(f"/maps/bee_jpg_gradcam{VARIANT}.png", memory.cat_file("/photos/bee.jpg"))
    for _ in range(2):
        result = gradcam("memory://photos/bee.jpg", "--out", "memory://maps", *small)
        assert f"memory://maps/bee_jpg_2_gradcam{VARIANT}.png" in result.stdout
        assert len(below("memory://maps")) == 3
    assert memory.cat_file(f"/maps/bee_gradcam{VARIANT}.png") == b"mine"


def test_a_result_stays_its_pictures_when_a_store_is_moved():
    assert source_id(UPath("memory://a/photos/cat.jpg"), UPath("memory://a/maps")) == source_id(
        Path("/b/photos/cat.jpg"), Path("/b/maps")
    )
    # From another store there is no way that is always the same.
    of_web = source_id(to_path("http://host/photos/cat.jpg"), Path("maps"))
    assert of_web == source_id(to_path("http://host/photos/cat.jpg"), UPath("memory://maps"))
    assert of_web != source_id(to_path("http://other/photos/cat.jpg"), Path("maps"))


def test_a_folder_of_a_store_is_listed_once(memory, monkeypatch):
    out = UPath("memory://maps")
    for name in ("cat", "dog"):
        with written_whole(out / f"{name}_gradcam.png") as file:
            source = Path(f"{name}.jpg")
            Image.new("RGB", (2, 2)).save(file, "PNG", pnginfo=mark(source, out, "a title").png)
    listed = []
    ls = type(memory).ls
    monkeypatch.setattr(
        type(memory), "ls", lambda self, *args, **kw: listed.append(args) or ls(self, *args, **kw)
    )
    namer = OutputNamer(out)
    pictures = [InputPicture(Path(f"{name}"), Path()) for name in ("cat.jpg", "dog.png", "x.jpg")]
    names = [namer.name(picture, ["{stem}_gradcam.png"])[0].name for picture in pictures]
    assert names == ["cat_gradcam.png", "dog_png_gradcam.png", "x_gradcam.png"]
    assert listed == [("/maps",)]


def test_pictures_from_the_web(photos, tmp_path, web, small):
    urls = f"{web}/photos/", f"{web}/photos/bee.jpg?size=2.5"
    result = gradcam(*urls, "--out", "maps", *small)
    assert result.exit_code == 0, result.stderr
    assert sorted(below(tmp_path / "maps")) == [
        *(f"bee_gradcam{VARIANT}.png", f"bee_jpg_gradcam{VARIANT}.png"),
        *(f"pets/cat_gradcam{VARIANT}.png", f"pets/old/cat_gradcam{VARIANT}.png"),
    ]
    with Image.open(tmp_path / f"maps/bee_gradcam{VARIANT}.png") as overlay:
        assert overlay.text["Source"] == "bee.jpg"


def test_the_web_is_not_written_to(photos, web):
    for args in ([f"{web}/photos/bee.jpg"], ["photos", "--out", f"{web}/maps"]):
        result = gradcam(*args)
        assert result.exit_code == 2
        assert "http:// addresses are read-only; choose a folder" in result.stderr
        assert result.stderr.count("\n") == 1
    check_places([InputPicture(to_path("memory://a/b.jpg"), Path())], None)


def test_what_cannot_be_read_is_told_in_one_line(photos, web, small):
    closed = "http://127.0.0.1:9"
    with pytest.raises(ImageError, match=r"memory://photos/ant.jpg: there is no such file$"):
        read_picture("memory://photos/ant.jpg")
    with pytest.raises(ImageError, match=f"^{web}/ant.jpg: there is no such file$"):
        read_picture(f"{web}/ant.jpg")
    with pytest.raises(StorageError, match=f"^{closed}/ant.jpg: cannot be read "):
        read_picture(f"{closed}/ant.jpg")
    result = gradcam(f"{closed}/photos/", "--out", "maps")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {closed}/photos/: cannot be listed (")
    assert result.stderr.count("\n") == 1
    urls = "memory://photos", "memory://photos/ant.jpg"
    result = gradcam(*urls, "--out", "memory://maps", *small)
    assert result.exit_code == 1
    assert "3 pictures explained, 1 failed" in result.stderr


def test_what_has_to_be_on_this_machine(photos):
    result = gradcam("photos", "--report", "s3://bucket/report.html")
    assert result.exit_code == 2
    assert "s3://bucket/report.html is not on this machine; give a local file" in result.stderr
    result = gradcam("photos", "--model", "s3://bucket/model.keras")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --model s3://bucket/model.keras: is not on this")


class Drive(MemoryFileSystem):
    """A store of which nothing is known, so that a file is renamed when it is complete."""

    protocol = "drive"
    store: ClassVar = {}
    pseudo_dirs: ClassVar = [""]

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("drive://"))


@pytest.fixture
def drive():
    fsspec.register_implementation("drive", Drive, clobber=True)
    Drive.store.clear()
    return Drive()


@pytest.mark.filterwarnings("ignore:UPath 'drive'")
@pytest.mark.parametrize("store", ["memory", "drive"])
def test_a_file_appears_whole_or_not_at_all(memory, drive, store):
    path = UPath(f"{store}://maps/a.png")
    with contextlib.suppress(KeyError), written_whole(path) as file:
        file.write(b"half")
        raise KeyError
    assert not below(f"{store}://maps")
    for content in (b"first", b"second"):
        with written_whole(path) as file:
            file.write(content)
        assert below(f"{store}://maps") == {"a.png": content}
    refuses = UPath(f"{store}://maps/a.png/below.png")
    refused = pytest.raises(OutputError, match=rf"^{refuses}: cannot be written")
    with refused, written_whole(refuses) as file:
        file.write(b"x")
    assert below(f"{store}://maps") == {"a.png": b"second"}


def test_truth_in_a_store(photos, memory):
    memory.put("photos/bee.jpg", "/photos/bee/one.jpg")
    result = gradcam("memory://photos/bee", "--truth", "folders", "--out", "maps")
    assert "✓" in result.stdout
    table = b"memory://photos/pets/cat.jpg,bee\nold/cat.jpg,German shepherd\n"
    memory.pipe_file("/photos/pets/truth.csv", table)
    truth = "memory://photos/pets/truth.csv"
    result = gradcam("memory://photos/pets", "--truth", truth, "--out", "maps", "--json")
    assert '"correct": false' in result.stdout.splitlines()[0]
    assert '"correct": true' in result.stdout.splitlines()[1]


def test_the_python_interface_takes_urls(photos, memory):
    explanation = explain_image("memory://photos/bee.jpg")
    explanation.save("memory://maps/bee.png")
    assert is_result_of(UPath("memory://maps/bee.png"), UPath("memory://photos/bee.jpg"))


def test_local_files_need_no_fsspec():
    code = (
        "import sys\n"
        "import gradcam_cli.cli.explain, gradcam_cli.files.finding, gradcam_cli.files.naming\n"
        "list(gradcam_cli.files.finding.find_pictures(['.']))\n"
        "assert not {'fsspec', 'upath', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
