"""What an audit finds, and what it doesn't: duplicates, and sentences about the rest."""

import io
from pathlib import Path

import numpy as np
import pytest
from audits import FACTS
from PIL import Image, ImageEnhance

from gradcam_cli.analysis.duplicates import find_duplicates
from gradcam_cli.analysis.fingerprints import fingerprint
from gradcam_cli.analysis.making_audit import make_audit
from gradcam_cli.analysis.observation import GRID, Observation
from gradcam_cli.errors import ImageError
from gradcam_cli.models.labels import Prediction

SAMPLES = sorted((Path(__file__).parents[1] / "sample_images").glob("*.jpg"))


def centred_heat():
    y, x = np.indices((GRID, GRID)) - GRID / 2
    return np.exp(-(y**2 + x**2) / 60).astype(np.float32)


def observed(image, truth=0, predicted=None, confidence=0.99, heat=None, path="a.png"):
    predicted = truth if predicted is None else predicted
    said = Prediction(predicted, f"c{predicted}", None, confidence)
    known = None if truth is None else Prediction(truth, f"c{truth}", None, confidence)
    picture = np.asarray(image.convert("RGB").resize((GRID, GRID), Image.Resampling.BOX))
    heat = centred_heat() if heat is None else heat
    return Observation(
        path, image.size, [said], known, [{predicted: heat}], picture, fingerprint(image)
    )  # fmt: skip


def anything(rng):
    """A smooth picture of any colours."""
    low = Image.fromarray(rng.integers(0, 256, (5, 5, 3)).astype(np.uint8))
    return low.resize((64, 64), Image.Resampling.BICUBIC)


def recompressed(image, quality=30):
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data)


@pytest.mark.parametrize(
    "copy",
    [
        lambda image: image.copy(),
        lambda image: image.resize((image.width // 3, image.height // 3)),
        recompressed,
        lambda image: recompressed(image.resize((160, 120)), 60),
        lambda image: ImageEnhance.Brightness(image).enhance(1.08),
    ],
    ids=["the same", "scaled", "recompressed", "scaled and recompressed", "brighter"],
)
def test_copies_are_found_across_classes_and_different_pictures_are_not(copy):
    images = [Image.open(path).convert("RGB") for path in SAMPLES]
    observations = [observed(image) for image in images]
    observations += [observed(copy(image), truth=1) for image in images]
    found = find_duplicates(observations)
    number = len(images)
    assert [one.pictures for one in found] == [[one, one + number] for one in range(number)]
    assert all(one.classes == ["c0", "c1"] for one in found)


def test_duplicates_across_classes_come_first():
    rng = np.random.default_rng(0)
    first, second = anything(rng), anything(rng)
    observations = [observed(image) for image in (first, first, first, second)]
    observations.append(observed(second, truth=None, predicted=2))
    found = find_duplicates(observations)
    assert [(one.pictures, one.classes) for one in found] == [
        ([3, 4], ["c0", "c2"]),
        ([0, 1, 2], ["c0"]),
    ]


def test_plain_pictures_are_told_apart_by_their_colour():
    colours = ["red", "red", "blue", "#808080", "#868686"]
    observations = [observed(Image.new("RGB", (64, 64), colour)) for colour in colours]
    assert [one.pictures for one in find_duplicates(observations)] == [[0, 1]]
    assert find_duplicates(observations[1:]) == find_duplicates([]) == []


def test_the_same_background_makes_no_duplicates():
    rng = np.random.default_rng(5)
    ground = np.repeat(np.linspace(200, 120, 96)[:, None, None], 96, 1) + np.zeros(3)
    observations = []
    for _ in range(40):
        picture = (ground + rng.normal(0, 3, ground.shape)).astype(np.uint8)
        picture[36:60, 36:60] = np.asarray(anything(rng).resize((24, 24)))
        observations.append(observed(Image.fromarray(picture)))
    assert find_duplicates(observations) == []


def test_many_pictures_are_compared():
    rng = np.random.default_rng(0)
    template = observed(anything(rng))
    observations = [
        Observation(
            "", (9, 9), template.predictions, template.truth, template.maps,
            rng.integers(0, 256, (GRID, GRID, 3), np.uint8), rng.bytes(8),
        )
        for _ in range(2000)
    ]  # fmt: skip
    observations[1900] = observations[7]
    assert [one.pictures for one in find_duplicates(observations)] == [[7, 1900]]


def audit(observations, classes=3, failed=()):
    names = [f"c{index}" for index in range(classes)]
    return {
        kind: [one for one in found if one.kind == kind]
        for found in [make_audit(observations, failed, FACTS, names).findings]
        for kind in dict.fromkeys(one.kind for one in found)
    }


def good_network(number=150, seed=0):
    """As often right as it says, and sure of most pictures; it looks at the middle."""
    rng = np.random.default_rng(seed)
    observations = []
    for row in range(number):
        truth = row % 3
        confidence = float(rng.choice([0.999, 0.99, 0.9, 0.7], p=[0.6, 0.3, 0.08, 0.02]))
        is_right = rng.random() < confidence
        predicted = (
            truth if is_right else int(rng.choice([one for one in range(3) if one != truth]))
        )
        observations.append(observed(anything(rng), truth, predicted, confidence))
    return observations


@pytest.mark.parametrize("seed", range(3))
def test_of_a_good_network_nothing_is_found(seed):
    assert audit(good_network(seed=seed)) == {}


def test_confusions_are_counted():
    observations = good_network(60)
    rng = np.random.default_rng(1)
    observations += [observed(anything(rng), 2, 1, 0.6) for _ in range(20)]
    (found,) = audit(observations)["confusion"]
    assert "20 of 40 pictures of c2 were taken for c1" in found.sentence
    assert set(range(60, 80)) <= set(found.pictures)


def test_confidence_that_is_too_high_is_found():
    rng = np.random.default_rng(1)
    observations = [observed(anything(rng), 0, int(row % 4 == 0), 0.95) for row in range(80)]
    found = audit(observations, classes=2)
    (calibration,) = found["calibration"]
    assert (
        "over-confident: it is 95 % sure on average, and right about 75 %" in calibration.sentence
    )
    assert "calibration error 0.20" in calibration.sentence
    (errors,) = found["confident_errors"]
    assert "20 of 80 pictures" in errors.sentence
    assert "about 4 would be" in errors.sentence
    assert sorted(errors.pictures) == list(range(0, 80, 4))
    modest = [observed(anything(rng), 0, 0, 0.6) for _ in range(80)]
    (calibration,) = audit(modest, classes=2)["calibration"]
    assert "under-confident" in calibration.sentence


def test_few_pictures_show_a_difference_in_one_direction():
    rng = np.random.default_rng(1)
    observations = [
        observed(anything(rng), 0, int(row % 8 == 0), float(confidence))
        for row, confidence in enumerate(np.linspace(0.4, 0.93, 42))
    ]
    (calibration,) = audit(observations, classes=2)["calibration"]
    assert "under-confident" in calibration.sentence
    assert "66 % sure on average, and right about 86 % of 42 pictures" in calibration.sentence


def test_heat_at_the_border_is_found():
    rng = np.random.default_rng(1)
    border = np.ones((GRID, GRID), np.float32)
    border[4:-4, 4:-4] = 0
    at_border = [observed(anything(rng), 0, heat=border) for _ in range(30)]
    even = [observed(anything(rng), 1, heat=np.ones_like(border)) for _ in range(60)]
    (all_maps,) = audit(at_border)["border"]
    assert all_maps.sentence.startswith("The maps have ")
    assert "evenly spread heat would have 36 % there" in all_maps.sentence
    (of_class,) = audit(at_border + even)["border"]
    assert of_class.sentence.startswith("The maps of c0 have ")
    assert sorted(of_class.pictures) == list(range(30))
    assert "border" not in audit(even)


def test_files_classes_and_copies_are_reported():
    observations = good_network()
    observations += [observed(Image.open(SAMPLES[0]), truth) for truth in (0, 1)]
    failed = [("broken.jpg", ImageError("broken.jpg: is cut off"))]
    found = audit(observations, classes=4, failed=failed)
    (unreadable,) = found["unreadable"]
    assert "1 of 153 pictures couldn't be explained: broken.jpg: is cut off" in unreadable.sentence
    (empty,) = found["empty_class"]
    assert "1 of 4 classes has no pictures, so nothing is known of them: c3" in empty.sentence
    (copies,) = found["duplicates"]
    assert "2 pictures look like others, but belong to different classes: c0 and c1" in (
        copies.sentence
    )
    assert copies.pictures == (150, 151)
    # A few of the model's many classes are meant.
    assert "empty_class" not in audit(observations, classes=100)
