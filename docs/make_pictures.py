"""Makes the pictures of the README from the sample pictures, with the real command.

    python docs/make_pictures.py            # writes docs/pictures
    python docs/make_pictures.py FOLDER     # writes elsewhere

The screenshots of the report need Chromium and `pip install playwright`; without them the
rest is made, and a line says what is missing.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from rich.text import Text

from gradcam_cli.cli import main as gradcam

DOCS = Path(__file__).resolve().parent
SAMPLES = DOCS.parent / "sample_images"
STRIP = ("bee", "red-panda", "macaw", "crab")
WIDTH = 1280
QUALITY = 84
CHROMIUM_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
_CELL = (10, 20)
_PAPER, _INK = (24, 24, 30), (226, 226, 230)


def make_pictures(out: Path) -> None:
    """Writes every picture that the README shows."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        run(".", "--out", made)
        join([made / f"{name}_gradcam.png" for name in STRIP], out / "overlays.jpg")
        run("dog.jpg", "--out", made, "--figure", "--contour", "--box", "--threshold", 0.3)
        run("bridge.jpg", "--out", made, "--each", "--top-k", 2, "--figure")
        terminal = run("macaw.jpg", "--as", "blocks", command="show")
        run(".", "--report", made / "report.html")
        shrink(made / "dog_gradcam_figure.png", out / "figure.jpg")
        shrink(made / "bridge_gradcam_figure.png", out / "classes.jpg")
        shrink(made / "bridge_gradcam_composite.png", out / "composite.jpg", WIDTH // 2)
        draw_terminal(terminal).save(out / "terminal.png", optimize=True)
        take_screenshots(made / "report.html", out)


def run(picture: str, *arguments: object, command: str = "explain") -> str:
    """Runs the command on a sample picture and gives what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.chdir(SAMPLES):
        gradcam([command, picture, *map(str, arguments)], standalone_mode=False)
    return printed.getvalue()


def join(sources: list[Path], target: Path, gap: int = 8) -> None:
    """Sets pictures of one height side by side across a page."""
    pictures = [Image.open(source) for source in sources]
    ratios = [picture.width / picture.height for picture in pictures]
    height = round((WIDTH - gap * (len(pictures) - 1)) / sum(ratios))
    strip = Image.new("RGB", (WIDTH, height), "white")
    left = 0
    for picture, ratio in zip(pictures, ratios, strict=True):
        strip.paste(
            picture.resize((round(height * ratio), height), Image.Resampling.LANCZOS), (left, 0)
        )
        left += round(height * ratio) + gap
    strip.save(target, quality=QUALITY, optimize=True)


def shrink(source: Path, target: Path, width: int = WIDTH) -> None:
    """Reduces a picture to the width of a page."""
    with Image.open(source) as image:
        height = round(image.height * width / image.width)
        small = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    small.save(target, quality=QUALITY, optimize=True)


def draw_terminal(printed: str) -> Image.Image:
    """Draws what a terminal shows of coloured text: letters and half blocks."""
    lines = f"$ gradcam show macaw.jpg\n{printed}".rstrip("\n").split("\n")
    columns = 82
    picture = Image.new("RGB", (columns * _CELL[0], (len(lines) + 1) * _CELL[1]), _PAPER)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSansMono.ttf", 16)
    for row, line in enumerate(lines):
        text = Text.from_ansi(line)
        top = row * _CELL[1] + _CELL[1] // 2
        colors = [(_INK, _PAPER)] * len(text)
        for span in text.spans:
            style = span.style
            front, back = (getattr(style, ground, None) for ground in ("color", "bgcolor"))
            for column in range(span.start, span.end):
                colors[column] = (
                    tuple(front.get_truecolor()) if front else _INK,
                    tuple(back.get_truecolor()) if back else _PAPER,
                )
        for column, letter in enumerate(text.plain):
            left, (front, back) = (column + 1) * _CELL[0], colors[column]
            if letter == "▀":
                middle = top + _CELL[1] // 2
                draw.rectangle((left, top, left + _CELL[0] - 1, middle - 1), front)
                draw.rectangle((left, middle, left + _CELL[0] - 1, top + _CELL[1] - 1), back)
            else:
                draw.text((left + _CELL[0] / 2, top + _CELL[1] / 2), letter, front, font, "mm")
    return picture


def take_screenshots(report: Path, out: Path) -> None:
    """Photographs the report: the gallery in light, the large view in dark."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print("!!! NO CHROMIUM OR NO PLAYWRIGHT: NO SCREENSHOTS OF THE REPORT !!!", file=sys.stderr)
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        for scheme, name in (("light", "gallery"), ("dark", "large-view")):
            page = browser.new_page(viewport={"width": WIDTH, "height": 860}, color_scheme=scheme)
            page.goto(report.as_uri())
            page.wait_for_selector(".card img[src]")
            if scheme == "dark":
                page.get_by_text("crab.jpg").click()
                page.click("#viewer [data-colormap=viridis]")
            page.wait_for_timeout(500)
            with Image.open(io.BytesIO(page.screenshot())) as image:
                image.convert("RGB").save(out / f"{name}.jpg", quality=QUALITY, optimize=True)
        browser.close()


if __name__ == "__main__":
    make_pictures(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "pictures")
