"""The page of an audit: its markup, and in a real browser what its links show."""

import json
import re
from dataclasses import replace
from urllib.parse import unquote

import pytest
from audits import FACTS, audit_of, explained, group_of
from pages import ARGUMENTS, CHROMIUM, Elements, Opener

from gradcam_cli.analysis.audit_results import Duplicates, Finding
from gradcam_cli.errors import ImageError, OutputError
from gradcam_cli.rendering.audit_page import arrange_matrix
from gradcam_cli.run.audit_page import AuditPage

CLASSES = ["tabby", "lynx", "red fox"]
TABBY, LYNX = (0, "tabby"), (1, "lynx")
HOSTILE = "</script><img src=x onerror=alert(1)>\u202e\x1b\udcff' onclick='"


def write_page(path, results, audit):
    with AuditPage(path) as page:
        for result in results:
            page.add(result)
        page.write(audit)
    return path


def small_audit(name="tabby"):
    """Two tabbies right, a tabby taken for a lynx, a lynx right."""
    tabby = (0, name)
    results = [
        explained("a/one.jpg", tabby, tabby, 0.9, seed=1),
        explained(f"a/{name}.jpg", tabby, tabby, 0.6, seed=2),
        explained("a/three.jpg", LYNX, tabby, 0.8, seed=3),
        explained("b/four.jpg", LYNX, LYNX, 0.7, seed=4),
    ]
    classes = [name, *CLASSES[1:]]
    given = {
        "errors": [ImageError(f"{name}.png: is damaged")],
        "groups": [
            group_of(1, "lynx", [2, 3]),
            group_of(0, name, [0, 1], f"{name} in the corner"),
        ],
        "duplicates": [Duplicates([0, 3], [name, "lynx"])],
        "empty_classes": [name],
        "findings": [
            Finding("confusion", f"{name} is taken for lynx in 1 of 3 pictures.", 0.8, [2]),
            Finding("unreadable", "1 of 5 files could not be read.", 0.1),
        ],
        "notes": [f"{name} was not examined."],
    }
    return results, audit_of(results, classes, **given)


def loaded(path):
    """Reads the tables that the page loads, as its script would."""
    tables = {}
    for script in sorted(path.with_name(f"{path.stem}_files").glob("*.js")):
        text = script.read_text("ascii")
        table, number, records = re.fullmatch(
            r'gradcamShard\("(\w+)",(\d+),(.*)\);\n', text
        ).groups()
        tables.setdefault(table, {})[int(number)] = json.loads(records)
    return {
        table: [one for number in sorted(parts) for one in parts[number]]
        for table, parts in tables.items()
    }


def test_hostile_texts_are_harmless(tmp_path):
    plain = write_page(tmp_path / "plain.html", *small_audit()).read_text("utf-8")
    path = write_page(tmp_path / "page.html", *small_audit(HOSTILE))
    page = path.read_text("utf-8")
    assert Elements(page).found == Elements(plain).found
    assert "\u202e" not in page
    assert "\x1b" not in page
    shown = "</script><img src=x onerror=alert(1)>\\u202e\\x1b\\udcff' onclick='"
    data = json.loads(Elements(page).texts["data"])
    assert data["names"]["0"] == shown
    assert data["unreadable"] == [f"{shown}.png: is damaged"]
    pictures = loaded(path)["pictures"]
    assert pictures[1]["predictions"][0]["name"] == shown
    assert pictures[1]["name"] == f"{shown.partition('/')[2]}.jpg"


def test_the_page_asks_for_nothing_but_the_files_beside_it(tmp_path):
    path = write_page(tmp_path / "my page #1.html", *small_audit())
    elements = Elements(path.read_text("utf-8"))
    for address in elements.addresses:
        assert address.startswith(("#", "data:")), address
    identifiers = set(re.findall(r'id="([^"]+)"', path.read_text("utf-8")))
    places = {address[1:] for address in elements.addresses if address.startswith("#")}
    routes = re.compile(r"(finding|cell|class|group|twins)-[\d-]+")
    assert {place for place in places if not routes.fullmatch(place)} <= identifiers
    data = json.loads(elements.texts["data"])
    files = [file for table in data["shards"].values() for file in table["files"]]
    files += [record["file"] for record in loaded(path)["pictures"]]
    for file in files:
        assert (tmp_path / unquote(file)).is_file(), file
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', path.read_text("utf-8"))[1]
    assert "default-src 'none'" in policy
    scripts = re.search(r"script-src ([^;]+)", policy)[1].split()
    assert scripts[1:] == ["'strict-dynamic'"]
    assert scripts[0].startswith("'sha256-")


def test_a_new_page_replaces_the_files_of_the_old_one_alone(tmp_path):
    path = tmp_path / "page.html"
    write_page(path, *small_audit())
    folder = tmp_path / "page_files"
    before = set(folder.iterdir())
    (folder / "mine.txt").write_text("kept")
    # An interrupted audit leaves the page as it was.
    results, _ = small_audit()
    with AuditPage(path) as page:
        page.add(results[0])
        page.add(explained("new.jpg", TABBY, LYNX, preview=results[0].cards[0].preview))
    assert set(folder.iterdir()) == before | {folder / "mine.txt"}
    results = [explained("other.jpg", TABBY, None, 0.5)]
    write_page(path, results, audit_of(results, CLASSES))
    after = set(folder.iterdir())
    assert folder / "mine.txt" in after
    assert {one["name"] for one in loaded(path)["pictures"]} == {"other.jpg"}
    (tmp_path / "own.html").write_text("<p>mine")
    with pytest.raises(OutputError, match="not a report of this tool"):
        AuditPage(tmp_path / "own.html")


def test_maps_of_the_predicted_and_the_true_class_are_kept(tmp_path):
    results, audit = small_audit()
    pictures = loaded(write_page(tmp_path / "page.html", results, audit))["pictures"]
    assert [("truthMap" in one) for one in pictures] == [False, False, True, False]
    assert pictures[2]["map"]["cells"] != pictures[2]["truthMap"]["cells"]
    assert pictures[2]["truth"]["name"] == "tabby"
    means = loaded(tmp_path / "page.html")["means"]
    assert len(means) == len(audit.mean_maps) == 3


def test_without_true_classes_nothing_is_said_about_right_and_wrong(tmp_path):
    results = [explained("one.jpg", TABBY), explained("two.jpg", LYNX)]
    audit = audit_of(results, CLASSES)
    page = write_page(tmp_path / "page.html", results, audit).read_text("utf-8")
    assert "Nothing suspicious was found in 2 pictures" in page
    body = page[page.index("<body>") : page.index('<dialog id="sheet"')]
    for word in ("Accuracy", "calibration", "Confusion", "errors", "✓"):
        assert word not in body, word


def test_a_matrix_of_many_classes_shows_the_largest():
    counts = {(index, index): 100 - index for index in range(60)}
    counts |= {(5, 59): 3, (5, 6): 2}
    matrix = arrange_matrix(counts)
    assert list(matrix.classes) == list(range(25))
    assert matrix.left_out == 35
    row = matrix.rows[5]
    assert (row.total, row.elsewhere, row.right) == (100, 3, 0.95)
    assert [(cell.predicted, cell.count, cell.level) for cell in row.cells if cell.count] == [
        (5, 95, 10),
        (6, 2, 1),
    ]


def test_a_class_that_is_only_predicted_has_a_column():
    matrix = arrange_matrix({(0, 1): 2, (0, 0): 2})
    assert list(matrix.classes) == [0, 1]
    assert [(row.truth, row.right) for row in matrix.rows] == [(0, 0.5)]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium: the page of an audit is not tested in a browser")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    opener = Opener(browser)
    yield opener
    opener.close()


def test_links_show_their_pictures(tmp_path, open_page):
    page = open_page(write_page(tmp_path / "page.html", *small_audit()))
    page.focus(".matrix a")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.inner_text("#sheet-title") == "True tabby, predicted lynx"
    page.wait_for_selector("#sheet .strip")
    labels = page.locator("#sheet .label").all_inner_texts()
    assert labels == ["original", "why lynx", "why not tabby"]
    page.wait_for_function(
        "[...document.querySelectorAll('#sheet canvas')].every(c => c.width > 9)"
    )
    page.click("#sheet .strip button")
    page.wait_for_selector("#viewer[open]")
    assert page.inner_text("#viewer-name") == "three.jpg"
    assert page.inner_text("#verdict") == "✗ Wrong: the true class is tabby"
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.wait_for_function("!document.querySelector('dialog[open]')")
    page.click(".finding a >> nth=0")
    assert page.inner_text("#sheet-title") == "tabby is taken for lynx in 1 of 3 pictures."
    page.keyboard.press("Escape")
    page.click("#group-tiles .suspicious a")
    assert page.inner_text("#sheet-about") == "2 pictures · tabby in the corner"
    page.keyboard.press("Escape")
    assert page.locator("#pairs li").all_inner_texts() == ["tabby\npredicted\nlynx\n1 · 33.3 %"]
    assert page.locator("#mean-tiles h3").all_inner_texts() == ["all pictures", "tabby", "lynx"]
    page.click("#twins a")
    page.wait_for_function("document.querySelectorAll('#sheet .strip').length == 2")


def test_hostile_names_are_text_in_the_browser(tmp_path, open_page):
    page = open_page(write_page(tmp_path / "page.html", *small_audit(HOSTILE)), link="#class-0")
    page.wait_for_selector("#sheet .strip")
    assert "<img src=x onerror=alert(1)>\\u202e" in page.inner_text("#sheet .said >> nth=0")
    assert page.locator("[onerror], [onclick], img[src=x]").count() == 0


def test_signed_maps_of_the_true_class_show_both_signs(tmp_path, open_page):
    results = [explained("one.jpg", LYNX, TABBY, signed=True, seed=5)]
    audit = audit_of(results, CLASSES)
    audit = replace(audit, explainer=replace(FACTS, ends=("against", "for")))
    page = open_page(write_page(tmp_path / "page.html", results, audit), link="#cell-0-1")
    page.wait_for_function("document.querySelectorAll('#sheet canvas[width]').length > 1")
    colors = page.evaluate(
        """() => [...document.querySelectorAll('#sheet .strip canvas')].map((canvas) => {
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            const found = { red: 0, green: 0, blue: 0 };
            for (let at = 0; at < data.length; at += 4) {
                const [red, green, blue, opacity] = data.slice(at, at + 4);
                if (opacity < 100) continue;
                if (red > 200 && blue < 90 && green < 90) found.red += 1;
                if (blue > 200 && red < 90 && green < 90) found.blue += 1;
                if (green > 200) found.green += 1;
            }
            return found;
        })"""
    )
    # Jet has green between its ends; the diverging map has only red for and blue against.
    assert colors[0]["green"] > 0
    assert colors[1]["green"] == 0
    assert colors[1]["red"] > 0
    assert colors[1]["blue"] > 0
    assert page.inner_text("#sheet .scale").split("\n") == ["Why not:", "against", "for"]


def test_many_pictures_come_a_few_at_a_time(tmp_path, open_page):
    results = [explained(f"{number:05}.jpg", TABBY, LYNX, 0.5) for number in range(450)]
    path = write_page(tmp_path / "page.html", results, audit_of(results, CLASSES))
    page = open_page(path, 375, 800, link="#means")
    # The lists above come later than the place is found, and move it.
    page.wait_for_selector(".filled")
    assert 0 <= page.locator("#means").bounding_box()["y"] < 100
    assert page.locator("[data-strips=errors] .strip").count() < 10
    page.click("#confident-errors .more")
    page.wait_for_function("document.querySelectorAll('[data-strips=errors] .strip').length == 66")
    assert page.inner_text("#confident-errors .more") == "Show 60 more of 384"
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
