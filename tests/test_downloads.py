"""Pictures from servers that mean no good: limits of time and size."""

import contextlib
import gzip
import http.server
import io
import threading
import time
import zlib
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cli import main
from gradcam_cli.errors import StorageError
from gradcam_cli.files.downloads import DownloadLimits, Downloads
from gradcam_cli.files.finding import InputPicture, find_pictures
from gradcam_cli.files.storage import to_path
from gradcam_cli.files.web_folders import find_on_web
from gradcam_cli.pictures.preparing import InputShape
from gradcam_cli.pictures.reading import read_picture
from gradcam_cli.run.options import WriteOptions
from gradcam_cli.run.pipeline import explain_pictures
from gradcam_cli.run.task import Task

_SMALL = DownloadLimits(megabytes=1)
_NO_SILENCE = DownloadLimits(silence=0.5)
_SOON = DownloadLimits(total=1)
_MEGABYTE = 1_000_000


def _png():
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, "PNG")
    return file.getvalue()


def _padded_png(size):
    """A picture of so many bytes: readers stop at the end of the picture itself."""
    return _png().ljust(size, b"\0")


def _gzip_bomb():
    """A picture with 20 MB of zeros behind it, in 20 kB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(_MEGABYTE)
    parts = [packer.compress(_png()), *(packer.compress(zeros) for _ in range(20))]
    return b"".join([*parts, packer.flush()])


class _Server(http.server.BaseHTTPRequestHandler):
    """Answers each address in its own way."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        # The other side hangs up on most of these.
        self.close_connection = True
        with contextlib.suppress(OSError):
            getattr(
                self, self.path.strip("/").split("/")[0].partition("?")[0].removesuffix(".png")
            )()

    def body(self, content, **headers):
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def good(self):
        self.body(_png())

    def packed(self):
        self.body(gzip.compress(_png()), Content_Encoding="gzip")

    def broken(self):
        self.send_error(500, "Out of order")

    def loop(self):
        self.send_response(302)
        self.send_header("Location", f"{self.path}?again")
        self.end_headers()

    def silent(self):
        self.server.ended.wait(60)

    def stalled(self):
        self.body(_png()[:20], Content_Length=1000)
        self.server.ended.wait(60)

    def dripping(self):
        self.body(_png()[:20], Content_Length=1000)
        while not self.server.ended.wait(0.1):
            self.wfile.write(b"\0")

    def dripping_header(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.server.ended.wait(0.1):
            self.wfile.write(b"x")

    def endless(self):
        self.body(_png())
        while not self.server.ended.is_set():
            self.wfile.write(bytes(100_000))

    def bomb(self):
        self.body(_gzip_bomb(), Content_Encoding="gzip")

    def full(self):
        self.body(_padded_png(_MEGABYTE))

    def over(self):
        self.body(_padded_png(_MEGABYTE + 1))

    def folders(self):
        # Each folder holds a picture and two more folders: the time ends before the
        # names become too long.
        self.body(b'<a href="a.png">a</a> <A class=x HREF=b/>b</A> <a href="c/">c</a>')

    def album(self):
        pages = {
            "/album/": """<a href="?C=N;O=D">by name</a> <a href="../">up</a>
                <a href='one.png'>1</a>
                <a href="/album/b&amp;w/two.png#top">2</a> <a href="//elsewhere/three.png">3</a>
                <a href="gone/">gone</a> <a href="http://[bad/">x</a> <a href="more/">more</a>""",
            "/album/more/": '<a href="four.png">4</a> <a href="/album/">up</a>',
        }
        if self.path in pages:
            self.body(pages[self.path].encode(), Content_Type="text/html")
        else:
            self.send_error(404)

    def announced(self):
        # Nothing but the size needs to come.
        self.body(b"", Content_Length=10**12)
        self.server.ended.wait(60)


@pytest.fixture
def server():
    """The address of a web server that knows every trick of `_Server`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        server.daemon_threads = True
        server.block_on_close = False
        server.ended = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.ended.set()
        server.shutdown()


@pytest.mark.parametrize("name", ["good", "packed", "full"])
def test_what_keeps_the_limits_is_read(server, name):
    assert read_picture(f"{server}/{name}.png", Downloads(_SMALL)).size == (64, 48)


@pytest.mark.parametrize(
    ("name", "limits", "told"),
    [
        ("broken", _SMALL, "the server answered 500 Out of order"),
        ("loop", _SMALL, "too many redirects"),
        ("silent", _NO_SILENCE, "the server sent nothing for 0.5 s"),
        ("stalled", _NO_SILENCE, "the server sent nothing for 0.5 s"),
        ("dripping", _SOON, "it was still incomplete after 1 s"),
        ("dripping_header", _SOON, "it was still incomplete after 1 s"),
        ("endless", _SMALL, "larger than 1 MB"),
        ("bomb", _SMALL, "larger than 1 MB"),
        ("over", _SMALL, "larger than 1 MB"),
        ("announced", _SMALL, "larger than 1 MB"),
    ],
)
def test_no_server_keeps_anyone_busy(server, name, limits, told):
    url = f"{server}/{name}.png"
    with pytest.raises(StorageError) as error:
        read_picture(url, Downloads(limits))
    assert str(error.value).startswith(f"{url}: ")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_files_of_other_stores_have_a_limit_too():
    path = to_path("memory://downloads/large.png")
    for size in (_MEGABYTE, _MEGABYTE + 1):
        path.fs.pipe_file(path.path, _padded_png(size))
        if size == _MEGABYTE:
            assert read_picture(path, Downloads(_SMALL)).size == (64, 48)
        else:
            with pytest.raises(StorageError, match="larger than 1 MB"):
                read_picture(path, Downloads(_SMALL))


def test_a_folder_on_the_web_is_searched(server):
    found = [str(picture.path) for picture in find_pictures([f"{server}/album/"])]
    names = ["one.png", "b&w/two.png", "more/four.png"]
    assert found == [f"{server}/album/{name}" for name in names]


@pytest.mark.parametrize(
    ("name", "limits", "told"),
    [
        ("folders", _SOON, "not fully listed after 1 s"),
        ("silent", _NO_SILENCE, "the server sent nothing for 0.5 s"),
        ("endless", _SMALL, "larger than 1 MB"),
    ],
)
def test_no_folder_on_the_web_is_listed_for_ever(server, name, limits, told):
    with pytest.raises(StorageError, match=told):
        find_on_web(to_path(f"{server}/{name}/"), limits)


@pytest.fixture(scope="module")
def small(small_model, tmp_path_factory):
    """The options for a model that is loaded in no time."""
    path = tmp_path_factory.mktemp("model") / "small.keras"
    small_model(size=64).save(path)
    return "--model", str(path), "--preprocess", "0-1"


def test_the_rest_of_a_batch_goes_on(server, tmp_path, monkeypatch, small):
    monkeypatch.chdir(tmp_path)
    urls = [f"{server}/{name}.png" for name in ("endless", "good", "bomb", "over", "packed")]
    result = CliRunner().invoke(main, [*urls, "--out", "maps", "--max-download", "1", *small])
    assert result.exit_code == 1
    told = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert [line.split(": ")[1] for line in told] == [urls[0], urls[2], urls[3]]
    assert all("--max-download" in line for line in told)
    names = [path.name for path in sorted(Path("maps").iterdir())]
    assert names == ["good_gradcam_small_0-1.png", "packed_gradcam_small_0-1.png"]
    assert "2 pictures explained, 3 failed" in result.stderr


def test_every_command_that_reads_pictures_has_the_limit(server, tmp_path, monkeypatch, small):
    monkeypatch.chdir(tmp_path)
    for command in ("show", "evaluate", "best-layer"):
        args = [command, f"{server}/over.png", *small]
        result = CliRunner().invoke(main, [*args, "--max-download", "1"])
        assert (result.exit_code, "larger than 1 MB" in result.stderr) == (1, True), command


@pytest.mark.parametrize("size", ["0", "-1", "much"])
def test_a_limit_is_a_number_of_megabytes(size):
    result = CliRunner().invoke(main, ["photo.jpg", "--max-download", size])
    assert result.exit_code == 2
    assert "--max-download" in result.stderr


def test_a_run_that_is_ended_waits_for_no_server(server, classify, small_model, tmp_path):
    explainer = Explainer(classify(small_model(size=64)))
    task = Task(
        inputs=InputShape("squash", (64, 64)), write=WriteOptions(out=tmp_path), batch_size=1
    )
    pictures = [
        InputPicture(to_path(f"{server}/{name}.png"), Path()) for name in ("good", "silent")
    ]
    results = explain_pictures(pictures, [explainer], task)
    assert next(results).error is None
    started = time.perf_counter()
    results.close()
    assert time.perf_counter() - started < 15
