"""The report in a real browser: what it shows, what it asks for, how fast it is."""

import io
import shlex
from dataclasses import replace

import numpy as np
import pytest
from pages import ARGUMENTS, CHROMIUM, Opener
from PIL import Image

from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.fitting import fit_picture
from gradcam_cli.pictures.reading import read_picture
from gradcam_cli.rendering.overlay import draw_overlay
from gradcam_cli.rendering.report import (
    ReportMap,
    ReportOptions,
    ReportPicture,
    ReportWriter,
    make_preview,
)

if CHROMIUM is None:
    pytest.skip(
        "!!! NO CHROMIUM: THE REPORT IS NOT TESTED IN A BROWSER (apt-get install chromium) !!!",
        allow_module_level=True,
    )
sync_api = pytest.importorskip("playwright.sync_api")

PITCH = (32.0, 32.0)
NASTY = '"><img src=x onerror=alert(1)>.jpg'


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    opener = Opener(browser)
    yield opener
    opener.close()


def report_class(index, probability=0.5, name=None, quantity="probability"):
    return Prediction(index, name or f"class {index}", None, probability, quantity)


def report_map(target, cells, fit, method="Grad-CAM"):
    place = fit.place(cells.shape, PITCH)
    return ReportMap(target, method, ("--method gradcam",), cells, place)


def random_cells(seed, rows=7, columns=9):
    cells = np.random.default_rng(seed).random((rows, columns)).astype(np.float32) ** 2
    return cells / cells.max()


def simple_picture(path, classes, preview=None, methods=("Grad-CAM",), **options):
    """Makes the record of a picture with a map for each class and method."""
    preview = preview or make_preview(Image.new("RGB", (96, 64), (120, 90, 60)))
    fit = fit_picture(preview.size, "keep", (256, 256), 32)
    targets = [report_class(*entry) for entry in classes]
    maps = [
        report_map(target, random_cells(target.index + 50 * number), fit, method)
        for number, method in enumerate(methods)
        for target in targets
    ]
    return ReportPicture(str(path), preview, targets, maps, **options)


def write_report(path, pictures, title="Report", **options):
    with ReportWriter(path, ReportOptions(title, "Grad-CAM · net", **options)) as report:
        for picture in pictures:
            report.add(picture)
        report.write()
    return path


@pytest.fixture(scope="module")
def small_report(tmp_path_factory):
    pictures = [
        simple_picture("photos/tabby.jpg", [(281, 0.93, "tabby"), (282, 0.04, "tiger cat")],
                       methods=("Grad-CAM", "LayerCAM"), truth="tabby", correct=True),
        simple_picture("photos/lynx.jpg", [(287, 0.41, "lynx"), (281, 0.4, "tabby")],
                       truth="cougar", correct=False),
        simple_picture(NASTY, [(1, 0.72, "<b>bold</b>")], truth="goldfish", correct=True),
        simple_picture("other/-tabby too.jpg", [(281, 0.62, "tabby")], truth="tabby", correct=True),
        ReportPicture("photos/broken.jpg", error="photos/broken.jpg: damaged </script><b>"),
    ]  # fmt: skip
    return write_report(
        tmp_path_factory.mktemp("small") / "report.html",
        pictures,
        title="<i>My</i> photos & more",
        arguments=("--model net", "--fit keep"),
    )


def shown_files(page):
    # The page follows what is chosen with its next frame.
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.locator(".card .file").all_inner_texts()


def test_photographs_are_there_as_soon_as_the_page_has_loaded(open_page, samples, tmp_path):
    with Image.open(samples / "citrus.jpg") as picture:
        preview = make_preview(picture.convert("RGB"))
    pictures = [simple_picture(f"{number}.jpg", [(number, 0.5)], preview) for number in range(24)]
    page = open_page(write_report(tmp_path / "report.html", pictures, alpha=0.1))
    # Without waiting for anything else.
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    assert shot.height > 1100
    frames = page.evaluate(
        "[...document.querySelectorAll('.frame')].map((frame) => {"
        "const { left, top, right, bottom } = frame.getBoundingClientRect();"
        "return [left + scrollX, top + scrollY, right + scrollX, bottom + scrollY]; })"
    )
    assert len(frames) == 24
    for frame in frames:
        pixels = np.asarray(shot.crop(tuple(map(round, frame))), float)
        assert pixels.std() > 30


def test_cards_say_whose_map_they_show(open_page, tmp_path):
    predicted = simple_picture("a.jpg", [(1, 0.9, "sky"), (2, 0.1, "bird")])
    chosen = replace(predicted, path="b.jpg", maps=predicted.maps[::-1])
    page = open_page(write_report(tmp_path / "report.html", [predicted, chosen]))
    assert shown_files(page) == ["a.jpg", "b.jpg · map of bird"]
    assert page.locator(".card .class").all_inner_texts() == ["sky", "sky"]


def test_names_are_text_and_never_markup(small_report, open_page):
    page = open_page(small_report)
    assert page.inner_text("h1") == "<i>My</i> photos & more"
    assert NASTY in shown_files(page)
    assert page.locator("h1 i, .card b, .card img[onerror], [onerror]").count() == 0
    card = page.locator(".card", has_text="<b>bold</b>")
    assert NASTY in card.locator("img").get_attribute("alt")
    card.locator("button").click()
    assert page.inner_text("#viewer-name") == NASTY
    assert shlex.split(page.inner_text("#command"))[2] == NASTY
    page.keyboard.press("Escape")
    page.click("#failures summary")
    assert page.inner_text("#failures li") == "photos/broken.jpg: damaged </script><b>"


def test_search_finds_files_and_classes(small_report, open_page):
    page = open_page(small_report)
    assert page.inner_text("#count") == "4 pictures"
    page.fill("#search", "TABBY")
    sync_api.expect(page.locator(".card")).to_have_count(2)
    assert shown_files(page) == ["tabby.jpg", "-tabby too.jpg"]
    assert page.inner_text("#count") == "2 of 4 pictures"
    page.fill("#search", "nothing like it")
    page.wait_for_selector("#empty", state="visible")
    page.click("#clear")
    assert len(shown_files(page)) == 4


def test_values_have_their_own_scale(open_page, tmp_path):
    values = {"low.png": -12.5, "middle.png": 4.0, "high.png": 87.5}
    pictures = [
        simple_picture(name, [(0, value, "age", "value"), (1, 0.001, "dose", "value")])
        for name, value in values.items()
    ]
    page = open_page(write_report(tmp_path / "values.html", pictures))
    assert page.locator(".card .part").all_inner_texts() == ["-12.50", "4.000", "87.50"]
    page.select_option("#sort", "most")
    assert shown_files(page) == ["high.png", "middle.png", "low.png"]
    assert page.inner_text(".histogram figcaption") == "Values of age"
    assert page.locator(".axis span").all_inner_texts() == ["-12.5", "37.5", "87.5"]
    page.locator("#histogram button:not([disabled])").first.click()
    assert shown_files(page) == ["low.png"]
    page.locator(".card button").click()
    assert page.locator("#predictions .prediction").all_inner_texts() == [
        "age\n-12.50",
        "dose\n0.001000",
    ]
    assert page.locator("#predictions .meter").count() == 0
    assert "%" not in page.inner_text(".overview") + page.inner_text("#predictions")


def test_pictures_are_sorted_and_filtered(small_report, open_page):
    page = open_page(small_report)
    page.select_option("#sort", "least")
    assert shown_files(page)[0] == "lynx.jpg"
    page.select_option("#sort", "most")
    assert shown_files(page) == ["tabby.jpg", NASTY, "-tabby too.jpg", "lynx.jpg"]
    page.click("[data-outcome=wrong]")
    assert shown_files(page) == ["lynx.jpg"]
    assert "cougar" in page.inner_text(".card .badge")
    page.click("[data-outcome=all]")
    page.click("#chips [data-index='281']")
    assert shown_files(page) == ["tabby.jpg", "-tabby too.jpg"]
    page.click("#histogram [aria-label^='60 to 65 %: 1 picture']")
    assert shown_files(page) == ["-tabby too.jpg"]


def test_right_and_wrong_are_offered_only_where_they_are_known(tmp_path, open_page):
    pictures = [simple_picture("a.jpg", [(1, 0.5)])]
    page = open_page(write_report(tmp_path / "report.html", pictures))
    assert page.locator("#outcomes").is_hidden()
    assert page.locator(".badge:visible").count() == 0


def test_large_view_switches_class_method_and_colour_map(small_report, open_page):
    page = open_page(small_report)
    page.click(".card button")
    heat = "document.getElementById('heat').toDataURL()"
    seen = {page.evaluate(heat)}
    assert "--class 281 --colormap jet --alpha 0.5" in page.inner_text("#command")
    page.click("button.prediction >> nth=1")
    seen.add(page.evaluate(heat))
    assert "--class 282" in page.inner_text("#command")
    page.click("#methods >> text=LayerCAM")
    seen.add(page.evaluate(heat))
    page.click("#viewer [data-colormap=cividis]")
    seen.add(page.evaluate(heat))
    command = shlex.split(page.inner_text("#command"))
    assert command[:3] == ["gradcam", "explain", "photos/tabby.jpg"]
    assert command[3:7] == ["--model", "net", "--fit", "keep"]
    assert "cividis" in command
    assert len(seen) == 4


def test_keyboard_alone_is_enough(small_report, open_page):
    page = open_page(small_report)
    page.keyboard.press("/")
    page.keyboard.type("photos")
    sync_api.expect(page.locator(".card")).to_have_count(2)
    page.focus(".card button")
    page.keyboard.press("Enter")
    assert page.inner_text("#viewer-place") == "1 of 2"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#viewer-name") == "lynx.jpg"
    page.keyboard.press("2")
    assert "--class 281" in page.inner_text("#command")
    page.keyboard.press("o")
    assert "--alpha 0" in page.inner_text("#command")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#viewer-name") == "lynx.jpg"
    page.keyboard.press("Escape")
    assert page.locator("#viewer").is_hidden()
    # The browser tells that a dialog is closed a moment after it is.
    focused = sync_api.expect(page.locator(":focus"))
    focused.to_contain_text("✗ true class: cougar", use_inner_text=True)


def test_command_is_copied(small_report, open_page):
    page = open_page(small_report, permissions=["clipboard-read", "clipboard-write"])
    page.locator(".card button").nth(3).click()
    page.click("#copy")
    sync_api.expect(page.locator("#copy")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert shlex.split(copied)[:3] == ["gradcam", "explain", "other/-tabby too.jpg"]


@pytest.mark.parametrize("fit_name", ["keep", "crop", "pad"])
def test_blended_pixels_are_those_of_the_command_line(samples, tmp_path, open_page, fit_name):
    picture = read_picture(samples / "coffee.jpg")
    preview = make_preview(picture)
    fit = fit_picture(picture.size, fit_name, (224, 224), 32).scaled_to(preview.size)
    cells = random_cells(3, 7, 7)
    record = ReportPicture(
        "coffee.jpg", preview, [report_class(1)], [report_map(report_class(1), cells, fit)]
    )
    page = open_page(write_report(tmp_path / "report.html", [record]), reduced_motion="reduce")
    page.click(".card button")
    page.click("#viewer [data-colormap=viridis]")
    page.evaluate(
        """([width, height]) => {
            const stage = document.getElementById("stage");
            Object.assign(stage.style, {position: "fixed", left: 0, top: 0, borderRadius: 0,
                                        width: `${width}px`, height: `${height}px`});
            document.querySelector(".canvas-area").style.containerType = "normal";
        }""",
        preview.size,
    )
    page.evaluate("document.getElementById('original').decode()")
    clip = {"x": 0, "y": 0, "width": preview.size[0], "height": preview.size[1]}
    with Image.open(io.BytesIO(preview.data)) as image:
        original = image.convert("RGB")
    heat = fit.upsample(cells, PITCH)
    for alpha in (0, 0.3, 1):
        page.evaluate(
            """(alpha) => {
                const slider = document.querySelector("#viewer [data-blend]");
                slider.value = 100 * alpha;
                slider.dispatchEvent(new Event("input"));
            }""",
            alpha,
        )
        with Image.open(io.BytesIO(page.screenshot(clip=clip))) as screenshot:
            seen = np.asarray(screenshot.convert("RGB")).astype(int)
        expected = draw_overlay(original, heat, fit.seen[:2], "viridis", alpha)
        difference = np.abs(seen - np.asarray(expected))
        assert difference.max() <= 3, alpha
        assert difference.mean() < 0.6, alpha


@pytest.fixture(scope="module")
def large_report(tmp_path_factory):
    rng = np.random.default_rng(0)
    previews = [
        make_preview(Image.effect_noise((640, 480), 60 + 10 * number).convert("RGB"))
        for number in range(8)
    ]
    return write_report(
        tmp_path_factory.mktemp("large") / "report.html",
        (
            simple_picture(
                f"folder/picture {number:04}.jpg",
                [(int(index), float(rng.random())) for index in rng.integers(0, 1000, 3)],
                previews[number % len(previews)],
                correct=bool(rng.random() < 0.8),
                truth="class 1",
            )
            for number in range(2000)
        ),
        assets=True,
    )


def busy_time(page):
    """Gives a function for the seconds that a page computed, whatever else the machine does."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy():
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "ThreadTime")

    return busy


def test_two_thousand_pictures_stay_responsive(large_report, open_page):
    assert large_report.stat().st_size < 4e6
    page = open_page(large_report)
    assert page.inner_text("#count") == "2,000 pictures"
    actions = {
        "search": "byId('search').value = '0042'; byId('search').dispatchEvent(new Event('input'))",
        "clear": "byId('clear').click()",
        "sort": "byId('sort').value = 'most'; byId('sort').dispatchEvent(new Event('change'))",
        "wrong": "document.querySelector('[data-outcome=wrong]').click()",
        "colour map": "document.querySelector('[data-colormap=viridis]').click()",
        "all": "document.querySelector('[data-outcome=all]').click()",
        "open": "document.querySelector('.card button').click()",
        "blend": "const slider = document.querySelector('#viewer [data-blend]');"
        "slider.value = 80; slider.dispatchEvent(new Event('input'))",
        "close": "byId('close').click()",
    }
    busy = busy_time(page)
    times = {}
    for name, action in actions.items():
        started = busy()
        page.evaluate(
            f"""async () => {{
                const byId = (id) => document.getElementById(id);
                const frame = () => new Promise((done) => requestAnimationFrame(done));
                {action};
                await frame();
                await frame();
            }}"""
        )
        times[name] = busy() - started
    # Far above what the page needs, far below what a person would call stuck.
    assert max(times.values()) < 1, times
    assert sorted(times.values())[len(times) // 2] < 0.6, times


def test_pictures_far_from_the_screen_hold_no_pixels(large_report, open_page):
    page = open_page(large_report)
    drawn = "document.querySelectorAll('.card img[src]').length"
    page.wait_for_selector(".card img[src]")
    # The first hundred stay.
    assert page.evaluate(drawn) < 250
    page.evaluate("document.querySelector('.card:nth-child(400)').scrollIntoView()")
    page.wait_for_selector(".card:nth-child(400) img[src]")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.wait_for_selector(".card:last-child img[src]")
    page.wait_for_selector(".card:nth-child(400) img:not([src])", state="attached")
    assert page.evaluate(drawn) < 250


def contrast(page, selector):
    """Works out the contrast of a text with the nearest background, as WCAG 2 has it."""
    return page.evaluate(
        """(selector) => {
            const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
            const pixel = (color) => {
                canvas.clearRect(0, 0, 1, 1);
                canvas.fillStyle = color;
                canvas.fillRect(0, 0, 1, 1);
                return [...canvas.getImageData(0, 0, 1, 1).data];
            };
            const luminance = (rgb) => {
                const [r, g, b] = rgb.slice(0, 3).map((value) => {
                    value /= 255;
                    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const element = document.querySelector(selector);
            const background = (one) => pixel(getComputedStyle(one).backgroundColor);
            let behind = element;
            while (background(behind)[3] < 255) behind = behind.parentElement;
            const text = pixel(getComputedStyle(element).color);
            const values = [luminance(text), luminance(background(behind))];
            return (Math.max(...values) + 0.05) / (Math.min(...values) + 0.05);
        }""",
        selector,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_light_and_dark(small_report, open_page, scheme):
    page = open_page(small_report, color_scheme=scheme)
    page.click(".card button")
    selectors = [
        *(".masthead p", ".count", ".file", ".badge", ".badge.wrong", "#chips small", "#verdict"),
        *("div.prediction, .keys", "button.prediction[aria-pressed=true]", "#command", ".field"),
        *("#viewer-folder", "#copy", "#clear", "footer"),
    ]
    ratios = {selector: contrast(page, selector) for selector in selectors}
    assert min(ratios.values()) >= 4.5, ratios


def test_theme_can_be_chosen(small_report, open_page):
    page = open_page(small_report, color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.click("#theme")
    page.click("#theme")
    assert page.inner_text("#theme-name") == "Dark"
    assert page.evaluate(background) != light


def test_every_control_and_picture_has_a_name(small_report, open_page):
    page = open_page(small_report)
    page.click(".card button")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, img")].filter(
            (element) => !(element.ariaLabel || element.title || element.alt ||
                           element.innerText?.trim() || element.labels?.length ||
                           element.querySelector("img[alt]"))
        ).map((element) => element.outerHTML)"""
    )
    assert nameless == []


def test_narrow_screens_show_everything_without_scrolling_sideways(small_report, open_page):
    page = open_page(small_report, width=360, height=740)
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wide)
    page.click(".card button")
    assert page.locator("#stage").bounding_box()["width"] > 300
    panel = page.locator(".panel").evaluate("(panel) => panel.scrollWidth - panel.clientWidth")
    assert panel <= 0
