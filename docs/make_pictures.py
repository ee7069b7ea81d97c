"""Makes the pictures of the documentation from the sample pictures, with the real command.

    python docs/make_pictures.py            # writes docs/pictures
    python docs/make_pictures.py FOLDER     # writes elsewhere
    python docs/make_pictures.py --quick    # without the sheet of methods, which takes minutes

The screenshots of the report need Chromium and `pip install playwright`; without them the
rest is made, and a line says what is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
import tempfile
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from rich.text import Text

from gradcam_cli import explain_image
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cli import main as gradcam

DOCS = Path(__file__).resolve().parent
SAMPLES = DOCS.parent / "sample_images"
STRIP = ("bee", "red-panda", "macaw", "crab")
WIDTH = 1280
# Here methods differ: at the last layer of a network that ends in global pooling they hardly do.
LAYER_OF_METHODS = "block6a_expand_activation"
# Two look much like Score-CAM and take ten times as long; one needs several layers.
LEFT_OUT = ("sscam", "iscam", "winsorcam")
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
        run(".", "--out", made, "--report", made / "report.html")
        join([made / f"{name}_gradcam.png" for name in STRIP], out / "overlays.jpg")
        run("dog.jpg", "--out", made, "--figure", "--contour", "--box", "--threshold", 0.3)
        run("bridge.jpg", "--out", made, "--each", "--top-k", 2, "--figure")
        layers = ("--layer", LAYER_OF_METHODS, "--layer", "top_activation")
        others = (SAMPLES / "bee.jpg", *layers, "--out", made / "layers")
        run("dog.jpg", *others, command="compare")
        terminal = run("macaw.jpg", "--as", "blocks", command="show")
        shrink(made / "dog_gradcam_contour_box_threshold0.3_figure.png", out / "figure.jpg")
        shrink(made / "bridge_gradcam_top2_figure.png", out / "classes.jpg")
        shrink(made / "bridge_gradcam_top2_composite.png", out / "composite.jpg", WIDTH // 2)
        shrink(made / "layers" / "most_different_1.png", out / "comparison.jpg")
        draw_terminal(terminal).save(out / "terminal.png", optimize=True)
        take_screenshots(made / "report.html", out)


def draw_methods(target: Path, columns: int = 6, label: int = 26, gap: int = 8) -> None:
    """Draws the maps of all methods that suit a convolutional network, with their names."""
    dog = SAMPLES / "dog.jpg"
    tiles = {"original": Image.open(dog)}
    for name, method in METHODS.items():
        if method.implementation.startswith(".attention") or name in LEFT_OUT:
            continue
        layer = LAYER_OF_METHODS if method.needs_layer else None
        tiles[method.title] = explain_image(dog, method=name, layer=layer).overlay
    width = (WIDTH - (columns - 1) * gap) // columns
    height = round(width * tiles["original"].height / tiles["original"].width)
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (WIDTH, rows * (height + label) + (rows - 1) * gap), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", 15)
    for number, (title, tile) in enumerate(tiles.items()):
        row, column = divmod(number, columns)
        left, top = column * (width + gap), row * (height + label + gap)
        draw.text((left + width / 2, top + label / 2), title, "black", font, "mm")
        small = tile.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(small, (left, top + label))
    sheet.save(target, quality=QUALITY, optimize=True)


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


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DOCS / "pictures")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    make_pictures(arguments.folder)
    if not arguments.quick:
        draw_methods(arguments.folder / "methods.jpg")


if __name__ == "__main__":
    main()
