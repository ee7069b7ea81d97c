"""The report of a detector: each picture with its objects, their boxes and their maps."""

import base64
import io
import json
import shlex

import numpy as np
import pytest
from click.testing import CliRunner
from pages import ARGUMENTS, CHROMIUM, Elements, Opener
from PIL import Image

from gradcam_cli.cli import main
from tests.detectors import BLUE, RED, draw_squares, square_detector

PLANTED = [(8, 8, 20, RED), (36, 8, 20, RED), (8, 60, 20, BLUE)]
# In pixels of the preview, which is 960 pixels wide.
BOXES = [[80, 40, 280, 140], [80, 300, 280, 400], [360, 40, 560, 140]]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report of a picture twice as large as its preview, another one, and an empty one."""
    folder = tmp_path_factory.mktemp("report")
    square_detector(names=("boxes_xyxy", "scores"), levels=2).save(folder / "squares.keras")
    (folder / "names.txt").write_text("red\nblue\n")
    large = draw_squares(PLANTED).resize((1920, 960), Image.Resampling.NEAREST)
    large.save(folder / "large.png")
    draw_squares(PLANTED[2:]).save(folder / "blue.png")
    draw_squares([]).save(folder / "nothing.png")
    options = ("--model", "squares.keras", "--labels", "names.txt", "--preprocess", "none")
    methods = ("--method", "layercam", "--method", "hirescam")
    pictures = ("large.png", "blue.png", "nothing.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = CliRunner().invoke(
            main,
            [*pictures, *options, *methods, "--report", "report.html"],
        )
    assert run.exit_code == 0, run.output
    assert not list(folder.glob("*layercam*"))
    return folder / "report.html"


def command_of(record, entry, data):
    return [record["argument"], *data["arguments"], *entry["arguments"]]


def test_each_picture_has_its_objects(report, monkeypatch):
    data = json.loads(Elements(report.read_text("utf-8")).texts["data"])
    large, blue, nothing = data["pictures"]
    assert sorted(one["box"] for one in large["predictions"]) == BOXES
    assert len(blue["predictions"]) == 1
    assert nothing["path"] == "nothing.png"
    assert "no object with a score of at least 0.5" in nothing["note"]
    # Two methods, and in the same order the objects.
    assert [entry["target"]["object"] for entry in large["maps"]] == [0, 1, 2, 0, 1, 2]
    for entry in large["maps"]:
        object_ = large["predictions"][entry["target"]["object"]]
        assert entry["target"]["name"] == object_["name"]
        assert entry["classes"] == []
        # The maps of chosen layers would be fused, but those of all levels are added up.
        assert not [one for one in entry["arguments"] if "--layer" in one]
    monkeypatch.chdir(report.parent)
    arguments = shlex.split(" ".join(command_of(large, large["maps"][0], data)))
    again = CliRunner().invoke(main, [*arguments, "--json", "--out", "again"])
    (record,) = [json.loads(line) for line in again.output.splitlines() if line[:1] == "{"]
    assert [[edge / 2 for edge in one["box"]] for one in record["detections"]] == [
        one["box"] for one in large["predictions"]
    ]


def test_the_command_of_a_map_looks_for_the_classes_of_the_run(report, monkeypatch):
    monkeypatch.chdir(report.parent)
    options = ["--model", "squares.keras", "--labels", "names.txt", "--preprocess", "none"]
    chosen = ["--class", "red", "--top-k", "1", "--min-score", "0.3", "--report", "red.html"]
    run = CliRunner().invoke(main, ["large.png", *options, *chosen])
    assert run.exit_code == 0, run.output
    page = report.with_name("red.html").read_text("utf-8")
    data = json.loads(Elements(page).texts["data"])
    (picture,) = data["pictures"]
    (entry,) = picture["maps"]
    command = " ".join(command_of(picture, entry, data))
    assert command.endswith("--class 0 --top-k 1")
    assert "--min-score 0.3" in command


@pytest.fixture
def page(report):
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opener = Opener(browser)
        yield opener(report)
        opener.close()
        browser.close()


BOXES_ON_STAGE = """(stage) => {
    const own = stage.getBoundingClientRect();
    return [...stage.querySelectorAll(".object")].map((one) => {
        const { left, top, right, bottom } = one.getBoundingClientRect();
        const scale = 960 / own.width;
        const edges = [left - own.left, top - own.top, right - own.left, bottom - own.top];
        return edges.map((edge) => edge * scale);
    });
}"""


def middle_of_heat(canvas):
    """Where the hottest pixels of a canvas are, x and y in parts of its sides."""
    url = canvas.evaluate("(canvas) => canvas.toDataURL()")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))), int)
    # Of the colours of jet, red is the hottest.
    rows, columns = np.nonzero((pixels[..., 0] > 120) & (pixels[..., 2] < 60))
    return columns.mean() / pixels.shape[1], rows.mean() / pixels.shape[0]


def test_the_page_draws_every_box_and_the_heat_of_the_chosen_object(page):
    assert page.locator(".card .class").all_inner_texts() in (["red ×2, blue", "blue"],
                                                              ["blue, red ×2", "blue"])  # fmt: skip
    large = page.locator(".card").first
    drawn = sorted(large.locator(".stage").evaluate(BOXES_ON_STAGE))
    for box, wanted in zip(drawn, BOXES, strict=True):
        assert box == pytest.approx(wanted, abs=8)
    large.locator("button").click()
    objects = page.locator("#predictions .prediction")
    assert objects.count() == 3
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    for number, one in enumerate(data["pictures"][0]["predictions"]):
        objects.nth(number).click()
        left, top, right, bottom = one["box"]
        stage = page.locator("#stage")
        explained = stage.locator(".object.explained")
        assert explained.count() == 1
        edges = stage.evaluate(BOXES_ON_STAGE)[number]
        assert edges == pytest.approx(one["box"], abs=4)
        assert explained.evaluate("(one) => one === one.parentElement.querySelectorAll"
                                  f"('.object')[{number}]")  # fmt: skip
        x, y = middle_of_heat(page.locator("#heat"))
        assert left < 960 * x < right
        assert top < 480 * y < bottom
    page.click("#methods button:last-child")
    assert page.locator("#predictions [aria-pressed=true]").count() == 1
    assert "--top-k 5" in page.inner_text("#command")


def test_objects_are_filtered_by_class_and_pictures_without_are_listed(page):
    page.click("#chips [data-index='0']")
    page.wait_for_function("document.querySelectorAll('.card').length === 1")
    page.click("#chips [data-index='0']")
    page.click("#chips [data-index='1']")
    page.wait_for_function("document.querySelectorAll('.card').length === 2")
    assert page.inner_text("#without summary") == "1 picture without objects"
    page.click("#without summary")
    assert page.inner_text("#without li").startswith("nothing.png: no object with a score of")
    assert not page.locator("#failures").is_visible()
