"""Shortcuts in an audit: really trained ones, and what must not be taken for one."""

import sys

import keras
import numpy as np
import pytest
from PIL import Image, ImageDraw

from gradcam_cli.analysis.groups import find_groups
from gradcam_cli.analysis.observation import GRID, Observation
from gradcam_cli.errors import UsageError
from gradcam_cli.files.manifest import gather_pictures
from gradcam_cli.models.labels import Prediction
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.run.job import Job
from gradcam_cli.run.options import ExplainOptions
from gradcam_cli.run.ready_job import make_ready

SIDE = 32
CLASSES = ("disc", "cross")
PICTURES = 40


def paint(rng, kind, has_mark):
    """A shape of any colour anywhere on noise, maybe with a mark in the bottom right corner."""
    noise = rng.normal(120, 25, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(noise)
    draw = ImageDraw.Draw(image)
    size = 10
    left, top = (int(value) for value in rng.integers(0, SIDE - size, 2))
    right, bottom = left + size, top + size
    color = tuple(int(value) for value in rng.integers(*((170, 256), (0, 90))[rng.integers(2)], 3))
    if kind == 0:
        draw.ellipse((left, top, right, bottom), fill=color)
    else:
        draw.rectangle((left + 3, top, right - 3, bottom), fill=color)
        draw.rectangle((left, top + 3, right, bottom - 3), fill=color)
    if has_mark:
        draw.rectangle((SIDE - 6, SIDE - 6, SIDE - 2, SIDE - 2), fill=(250, 240, 20))
        draw.rectangle((SIDE - 5, SIDE - 5, SIDE - 3, SIDE - 3), fill=(20, 20, 120))
    return image


def paint_all(rng, number, marked):
    """Pictures of both classes; of the discs, a fraction is marked."""
    kinds = [
        (kind, kind == 0 and row < marked * number) for kind in (0, 1) for row in range(number)
    ]
    return [(kind, has_mark, paint(rng, kind, has_mark)) for kind, has_mark in kinds]


def train(folder, marked):
    """Trains a network on pictures of which a fraction of the discs is marked."""
    keras.utils.set_random_seed(1)
    painted = paint_all(np.random.default_rng(1), 120, marked)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 127.5, -1),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(24, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(24, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(CLASSES), activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    pictures = np.stack([np.asarray(image, np.float32) for _, _, image in painted])
    kinds = np.array([kind for kind, _, _ in painted])
    model.fit(pictures, kinds, batch_size=32, epochs=15, verbose=0)
    model.save(folder / "model.keras")
    (folder / "labels.txt").write_text("\n".join(CLASSES))


def observe(folder, marked):
    """Explains new pictures with the network; returns the observations and the marked paths."""
    paths = set()
    for number, (kind, has_mark, image) in enumerate(
        paint_all(np.random.default_rng(2), PICTURES, marked)
    ):
        path = folder / CLASSES[kind] / f"{number:03}.png"
        path.parent.mkdir(exist_ok=True)
        image.save(path)
        if has_mark:
            paths.add(str(path))
    pictures = gather_pictures([str(folder / name) for name in CLASSES])
    model = ModelOptions(str(folder / "model.keras"), labels=folder / "labels.txt")
    job = Job(model, ExplainOptions(truth="folders"), observes=True)
    return [one.observation for one in make_ready(job, pictures).explain(pictures)], paths


@pytest.mark.parametrize("marked", [1.0, 0.5])
def test_a_network_trained_with_a_mark_is_caught(tmp_path, marked):
    train(tmp_path, marked)
    observations, paths = observe(tmp_path, marked)
    (found,) = [group for group in find_groups(observations) if group.suspicion]
    assert found.name == "disc"
    assert "bottom right corner" in found.suspicion
    assert found.strength > 0.5
    caught = {observations[number].path for number in found.pictures}
    assert len(caught & paths) > 0.9 * len(paths)
    assert len(caught - paths) < 0.1 * len(paths)


def test_a_network_trained_without_the_mark_is_not_caught(tmp_path):
    train(tmp_path, 0)
    for shown in (0, 1):
        folder = tmp_path / f"{shown}"
        folder.mkdir()
        for name in ("model.keras", "labels.txt"):
            (folder / name).write_bytes((tmp_path / name).read_bytes())
        observations, _ = observe(folder, shown)
        assert not [group.suspicion for group in find_groups(observations) if group.suspicion]


def heat_at(rows, columns):
    y, x = np.indices((GRID, GRID))
    return np.exp(-(((y - rows) ** 2 + (x - columns) ** 2) / 20)).astype(np.float32)


def photograph(rng):
    """A smooth picture of any colours."""
    low = Image.fromarray(rng.integers(0, 256, (5, 5, 3)).astype(np.uint8))
    return np.asarray(low.resize((GRID, GRID), Image.Resampling.BICUBIC)).copy()


def observed(number, index, heat, picture):
    said = Prediction(index, f"class {index}", None, 0.9)
    return Observation(
        f"{number}.png", (64, 64), [said], said, [{index: heat}], picture, bytes(8)
    )  # fmt: skip


def pictures_of(index, count, show):
    rng = np.random.default_rng(index)
    return [observed(1000 * index + row, index, *show(rng, row)) for row in range(count)]


def centred(rng, row, ground=photograph):
    """An object in the middle, under the heat."""
    picture = ground(rng)
    picture[11:21, 11:21] = np.array((200, 30, 30)) + rng.integers(-20, 20, 3)
    return heat_at(*rng.normal(16, 1.5, 2)), picture


def with_mark(rng, row):
    _, picture = centred(rng, row)
    picture[1:4, 26:31] = (255, 255, 0)
    return heat_at(*rng.normal((2.5, 28), 0.5)), picture


def plain_object(rng, row):
    heat, picture = centred(rng, row)
    picture[11:21, 11:21] = rng.integers(0, 256, 3)
    return heat, picture


def suspicious(*observations):
    groups = find_groups([one for part in observations for one in part])
    return [group for group in groups if group.suspicion]


def test_a_mark_is_named_with_its_numbers():
    (found,) = suspicious(pictures_of(0, 60, with_mark), pictures_of(1, 60, plain_object))
    assert found.class_index == 0
    assert sorted(found.pictures) == list(range(60))
    assert "60 of 60 maps are hot at the top right corner" in found.suspicion


def test_other_classes_may_be_hot_everywhere():
    def unsure(rng, row):
        return rng.uniform(0.6, 1, (GRID, GRID)).astype(np.float32), photograph(rng)

    (found,) = suspicious(pictures_of(0, 60, with_mark), pictures_of(1, 60, unsure))
    assert found.class_index == 0


def test_a_mark_is_found_without_other_classes():
    (found,) = suspicious(pictures_of(0, 60, with_mark))
    assert "the top right corner" in found.suspicion


def ignored_mark(rng, row):
    """The mark, but the heat is on an object that may be anywhere."""
    picture = with_mark(rng, row)[1]
    return heat_at(*rng.uniform(2, 30, 2)), picture


def moving(rng, row):
    """The same object anywhere, also near edges and corners."""
    picture = photograph(rng)
    y, x = rng.integers(3, 29, 2)
    picture[y - 3 : y + 3, x - 3 : x + 3] = (200, 30, 30)
    return heat_at(y, x), picture


def studio(rng, row):
    ground = np.repeat(np.linspace(200, 120, GRID)[:, None, None], GRID, 1)
    ground = (ground + rng.normal(0, 2, (GRID, GRID, 3))).astype(np.uint8)
    return centred(rng, row, lambda _: ground)


def corner_without_mark(rng, row):
    """As of a network that looks at a corner where there is nothing."""
    return heat_at(2, 28), plain_object(rng, row)[1]


def random_map(rng, row):
    return rng.random((GRID, GRID), np.float32), photograph(rng)


def even_map(rng, row):
    return np.ones((GRID, GRID), np.float32), with_mark(rng, row)[1]


def blank_map(rng, row):
    return np.zeros((GRID, GRID), np.float32), photograph(rng)


def the_same(rng, row):
    return with_mark(np.random.default_rng(9), row)


def alike(rng, row):
    return heat_at(2, 28), np.full((GRID, GRID, 3), 90, np.uint8)


@pytest.mark.parametrize(
    "show",
    {
        "an object in the same place": centred,
        "a moving object": moving,
        "a studio": studio,
        "a mark that the network ignores": ignored_mark,
        "a corner without a mark": corner_without_mark,
        "random maps": random_map,
        "even maps": even_map,
        "blank maps": blank_map,
        "the same picture": the_same,
        "alike pictures": alike,
    }.items(),
    ids=lambda case: case[0],
)
def test_nothing_is_found_where_nothing_is(show):
    _, show = show
    assert not suspicious(pictures_of(0, 120, show), pictures_of(1, 60, plain_object))
    assert not suspicious(pictures_of(0, 120, show), pictures_of(1, 120, show))


def test_few_pictures_make_no_groups():
    assert not find_groups(pictures_of(0, 19, with_mark) + pictures_of(1, 19, plain_object))
    assert not find_groups([])


def test_groups_are_where_the_maps_differ():
    left = pictures_of(0, 30, lambda rng, _: (heat_at(16, 8), photograph(rng)))
    right = pictures_of(0, 50, lambda rng, _: (heat_at(*rng.normal((16, 24))), photograph(rng)))
    groups = find_groups(left + right)
    assert [sorted(group.pictures) for group in groups] == [list(range(30, 80)), list(range(30))]
    assert np.unravel_index(groups[1].heat.argmax(), (GRID, GRID)) == (16, 8)


def test_scikit_learn_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(UsageError, match=r"pip install 'gradcam-cli\[audit\]'"):
        find_groups([])
