"""Pictures whose truth is known, and where the pipeline's maps peak in them."""

import numpy as np
from PIL import Image, ImageDraw
from tasks import make_task

from gradcam_cli.files.finding import find_pictures
from gradcam_cli.run.pipeline import explain_pictures


class Shapes:
    """Shapes of any colour on noise."""

    classes = ("disc", "cross", "ring", "stripes")
    ground = (128, 25)
    width = height = 96
    size = 30

    def paint(self, picture, rng, kind, left, top):
        draw = ImageDraw.Draw(picture)
        right, bottom = left + self.size, top + self.size
        low, high = ((170, 256), (0, 90))[int(rng.integers(2))]
        color = tuple(int(value) for value in rng.integers(low, high, 3))
        third = self.size // 3
        if self.classes[kind] == "disc":
            draw.ellipse((left, top, right, bottom), fill=color)
        elif self.classes[kind] == "cross":
            draw.rectangle((left + third, top, right - third, bottom), fill=color)
            draw.rectangle((left, top + third, right, bottom - third), fill=color)
        elif self.classes[kind] == "ring":
            draw.ellipse((left, top, right, bottom), outline=color, width=self.size // 6)
        else:
            for y in range(top, bottom, self.size // 4):
                draw.rectangle((left, y, right, y + self.size // 8), fill=color)


class Photographs:
    """Small photographs of things, on noise."""

    classes = ("cat.jpg", "coffee.jpg", "crab.jpg", "macaw.jpg")
    ground = (128, 25)
    width = height = 224
    size = 90

    def __init__(self, folder):
        self.photographs = [
            Image.open(folder / name).convert("RGB").resize((self.size, self.size))
            for name in self.classes
        ]

    def paint(self, picture, rng, kind, left, top):
        photograph = self.photographs[kind]
        if rng.integers(2):
            photograph = photograph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture.paste(photograph, (left, top))


class Fabrics:
    """Squares of cloth on a plain ground, told apart by colour and weave."""

    classes = ("red, bars across", "green, bars down", "blue, chequered")
    size = 24
    # Dark, and nearly the same everywhere: normalisation within tokens makes the slightest noise
    # about grey, which is zero to the networks, as strong as an object.
    ground = (20, 5)

    def __init__(self, height, width):
        self.height, self.width = height, width

    def paint(self, picture, rng, kind, left, top):
        y, x = np.indices((self.size, self.size)) // 4
        weave = (y, x, x + y)[kind] % 2
        color = rng.integers(60, 120, 3)
        color[kind] = rng.integers(190, 256)
        cloth = np.where(weave[..., None] == 1, color, color // 2)
        picture.paste(Image.fromarray(cloth.astype(np.uint8)), (left, top))


def make_picture(world, rng, kinds):
    """Noise with objects side by side, or with none; returns it and their boxes."""
    noise = rng.normal(*world.ground, (world.height, world.width, 3)).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(noise)
    part = world.width // max(len(kinds), 1)
    boxes = []
    for number, kind in enumerate(kinds):
        left = int(rng.integers(number * part, (number + 1) * part - world.size))
        top = int(rng.integers(0, world.height - world.size))
        world.paint(picture, rng, kind, left, top)
        boxes.append((left, top, left + world.size, top + world.size))
    return picture, boxes


def make_set(world, rng, number):
    kinds = rng.integers(0, len(world.classes), number)
    pictures = [np.asarray(make_picture(world, rng, [kind])[0]) for kind in kinds]
    return np.stack(pictures).astype(np.float32), kinds


def maps_of(folder, explainer, targets, fit=None):
    """Runs the whole pipeline on a folder; returns of each picture the classes and their maps."""
    classifier = explainer.classifier
    task = make_task(
        classes=targets,
        fit=fit or classifier.default_fit,
        size=classifier.input_size[::-1],
        out=folder / "maps",
        heatmap="npy",
    )
    found = []
    for result in explain_pictures(find_pictures([folder]), [explainer], task):
        assert result.error is None
        found.append(
            [(target.prediction.index, np.load(target.heatmap)) for target in result.targets]
        )
    return found


def peak_of(heat):
    """Gives (x, y): the middle of where the map is highest, which may be a plateau."""
    rows, columns = np.nonzero(heat == heat.max())
    return columns.mean(), rows.mean()


def peaks(tmp_path, explainer, pictures, targets):
    """Runs the whole pipeline on picture files; returns the peaks of the maps and classes."""
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number:03}.png")
    found = maps_of(tmp_path, explainer, targets)
    assert {heat.shape for maps in found for _, heat in maps} == {explainer.classifier.input_size}
    return [[(index, peak_of(heat)) for index, heat in maps] for maps in found]


def lies_in(point, box):
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]
