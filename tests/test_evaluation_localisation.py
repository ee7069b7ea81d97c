"""Where heat and objects are, by hand; and the formats that say where objects are."""

import json

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import AnnotationError, UsageError
from gradcam_cli.evaluation.annotations import AnnotatedObject, Annotations
from gradcam_cli.evaluation.loading import LoadedPicture
from gradcam_cli.evaluation.localisation import (
    box_iou,
    energy_pointing_game,
    localisation_error,
    pointing_game,
)
from gradcam_cli.evaluation.located_heat import locate_heat
from gradcam_cli.files.finding import find_pictures
from gradcam_cli.models.labels import imagenet_labels
from gradcam_cli.pictures.preparing import InputShape

SIZE = (40, 30)


@pytest.fixture
def heat():
    """A hot square from (8, 6) to (18, 16) with its peak at (10, 9), a spot and a haze."""
    found = np.full((30, 40), 0.1, np.float32)
    found[6:16, 8:18] = 0.5
    found[9, 10] = 1
    found[25, 35] = 0.9
    return found


def box(left, top, right, bottom):
    return AnnotatedObject((left, top, right, bottom))


def test_the_pointing_game(heat):
    assert pointing_game(heat, [box(10, 9, 20, 20)], tolerance=0) == 1
    # The middle of the peak, (10.5, 9.5), is 1.5 pixels left of this box.
    assert pointing_game(heat, [box(12, 9, 20, 20)], tolerance=1.4) == 0
    assert pointing_game(heat, [box(12, 9, 20, 20)], tolerance=1.6) == 1
    assert pointing_game(heat, [box(30, 0, 40, 30), box(0, 0, 11, 10)], tolerance=0) == 1
    assert pointing_game(heat, [box(30, 0, 40, 30)]) == 0
    assert pointing_game(0 * heat, [box(0, 0, 40, 30)]) == 0


def test_masks_count_by_the_pixel(heat):
    mask = np.zeros((30, 40), bool)
    mask[9, 10] = True
    assert pointing_game(heat, [AnnotatedObject((0, 0, 40, 30), mask=mask)], tolerance=0) == 1
    ring = AnnotatedObject((0, 0, 40, 30), mask=~mask)
    assert pointing_game(heat, [ring], tolerance=0) == 0
    assert pointing_game(heat, [ring], tolerance=0.5) == 1
    assert energy_pointing_game(heat, [ring]) == pytest.approx(1 - 1 / heat.sum())


def test_the_energy_based_pointing_game(heat):
    inside = 99 * 0.5 + 1
    total = inside + 0.9 + 0.1 * (30 * 40 - 101)
    assert energy_pointing_game(heat, [box(8, 6, 18, 16)]) == pytest.approx(inside / total)
    # Overlapping boxes count once.
    twice = [box(8, 6, 18, 16), box(8, 6, 18, 16)]
    assert energy_pointing_game(heat, twice) == pytest.approx(inside / total)
    assert energy_pointing_game(0 * heat, twice) == 0


def test_the_box_of_the_largest_hot_segment(heat):
    # Above 15 % are the square and the spot; the haze at 10 % is not.
    fits = box_iou(heat, [box(8, 6, 18, 16)])
    assert fits == pytest.approx(1, abs=0.01)
    assert box_iou(heat, [box(8, 6, 18, 11)]) == pytest.approx(fits / 2, abs=0.01)
    assert box_iou(heat, [box(30, 20, 40, 30), box(8, 6, 18, 16)]) == fits
    assert box_iou(heat, [box(30, 20, 40, 30)]) == 0
    assert box_iou(0 * heat, [box(0, 0, 40, 30)]) == 0


def test_the_localisation_error(heat):
    probabilities = np.array([0.1, 0.05, 0.3, 0.2, 0.15, 0.12, 0.08])
    right, wrong = [box(8, 6, 18, 16)], [box(20, 6, 30, 16)]
    for class_index, top_1, top_5 in ((2, 0, 0), (0, 1, 0), (6, 1, 1)):
        assert localisation_error(heat, right, class_index, probabilities, 1) == top_1
        assert localisation_error(heat, right, class_index, probabilities, 5) == top_5
        assert localisation_error(heat, wrong, class_index, probabilities, 5) == 1


def test_each_annotated_class_has_a_map_of_its_own():
    prepared = InputShape("squash", (32, 32), 1).prepare(Image.new("RGB", SIZE))
    named = [
        AnnotatedObject((0, 0, 9, 9), name, index)
        for name, index in (("dog", 5), ("cat", 7), ("dog", 5), ("unknown", None))
    ]
    heat = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    asked = []

    def explain(inputs, targets):
        asked.append((inputs.shape, targets.tolist()))
        return 1 - heat[None]

    def locate(objects):
        return locate_heat(LoadedPicture(prepared, objects), heat, 5, np.ones(9), explain)

    dog, cat = locate(named)
    # That of the explained class is there already; the model has no map of the unknown one.
    assert asked == [((1, 32, 32, 3), [7])]
    assert (dog.class_index, len(dog.objects)) == (5, 2)
    assert (cat.class_index, len(cat.objects)) == (7, 1)
    assert dog.heat.shape == cat.heat.shape == (30, 40)
    assert dog.heat[0, 0] < 0.1 < 0.9 < cat.heat[0, 0]
    # Where nothing else is known, the explained class is what may lie there.
    (unknown,) = locate(named[3:])
    assert unknown.class_index is None
    np.testing.assert_array_equal(unknown.heat, dog.heat)
    assert locate([]) == []


VOC = """<annotation><size><width>{width}</width><height>{height}</height></size>
<object><name>n02106662</name><bndbox><xmin>5</xmin><ymin>3</ymin><xmax>20</xmax><ymax>12</ymax>
</bndbox></object>
<object><name>rubber boot</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>
<xmax>2</xmax><ymax>2</ymax></bndbox></object>
<object><name>cat</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>
<xmax>2</xmax><ymax>2</ymax></bndbox></object></annotation>"""


@pytest.fixture
def pictures(tmp_path, save_picture):
    save_picture(tmp_path / "photos" / "dogs" / "rex.jpg", SIZE)
    return list(find_pictures([tmp_path / "photos"]))


@pytest.mark.parametrize("folder", ["", "dogs"])
def test_voc_and_imagenet_xml(tmp_path, pictures, folder):
    boxes = tmp_path / "boxes" / folder
    boxes.mkdir(parents=True)
    (boxes / "rex.xml").write_text(VOC.format(width=40, height=30))
    annotations = Annotations(tmp_path / "boxes", imagenet_labels())
    dog, boot = annotations.of(pictures[0], SIZE)
    # Pixels are counted from 1, and the last one belongs to the box.
    assert dog.box == (4, 2, 20, 12)
    assert dog.class_index == 235
    assert boot.box == (0, 0, 2, 2)
    assert boot.class_name == "rubber boot"
    assert boot.class_index is None
    assert dog.cover((30, 40)).sum() == 160
    # The picture was made larger after it was annotated.
    assert annotations.of(pictures[0], (80, 60))[0].box == (8, 4, 40, 24)
    with pytest.raises(AnnotationError, match="30×40 px, but its annotation was made for 40×30"):
        annotations.of(pictures[0], (30, 40))


def test_coco_json(tmp_path, pictures):
    path = tmp_path / "instances.json"
    content = {
        "images": [{"id": 7, "file_name": "rex.jpg", "width": 40, "height": 30}],
        "categories": [{"id": 3, "name": "German shepherd"}, {"id": 4, "name": "person"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [4, 2, 16, 10]},
            {"image_id": 7, "category_id": 4, "bbox": [0, 0, 1.5, 2], "iscrowd": 0},
            {"image_id": 7, "category_id": 4, "bbox": [0, 0, 40, 30], "iscrowd": 1},
        ],
    }
    path.write_text(json.dumps(content))
    dog, person = Annotations(path, imagenet_labels()).of(pictures[0], SIZE)
    assert (dog.box, dog.class_index) == ((4, 2, 20, 12), 235)
    assert (person.box, person.class_index) == ((0, 0, 1.5, 2), None)
    content["images"][0]["file_name"] = "max.jpg"
    path.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match="not listed in"):
        Annotations(path, imagenet_labels()).of(pictures[0], SIZE)


def test_masks(tmp_path, pictures):
    values = np.zeros((30, 40), np.uint8)
    values[2:12, 4:20] = 255
    Image.fromarray(values).save(tmp_path / "rex_mask.png")
    (mask,) = Annotations(tmp_path, imagenet_labels()).of(pictures[0], SIZE)
    assert mask.box == (4, 2, 20, 12)
    np.testing.assert_array_equal(mask.cover((30, 40)), values > 0)
    # In VOC's, numbers of a palette are classes and 255 is the border.
    values[3:11, 5:19] = 12
    of_classes = Image.fromarray(values).convert("P")
    of_classes.putdata(values.ravel().tolist())
    of_classes.save(tmp_path / "rex_mask.png")
    (mask,) = Annotations(tmp_path, imagenet_labels()).of(pictures[0], SIZE)
    assert mask.box == (5, 3, 19, 11)


def test_annotations_that_are_not(tmp_path, pictures):
    labels = imagenet_labels()
    with pytest.raises(UsageError, match="there is no such file"):
        Annotations(tmp_path / "nowhere", labels)
    with pytest.raises(AnnotationError, match=r"no rex\.xml and no mask rex\.png"):
        Annotations(tmp_path, labels).of(pictures[0], SIZE)
    (tmp_path / "rex.xml").write_text("<annotation><object>")
    with pytest.raises(AnnotationError, match="not a Pascal VOC annotation"):
        Annotations(tmp_path, labels).of(pictures[0], SIZE)
    (tmp_path / "rex.xml").write_text("<annotation/>")
    with pytest.raises(AnnotationError, match="no object"):
        Annotations(tmp_path, labels).of(pictures[0], SIZE)
    for content in ("{}", "[]", "no", '{"images": 3, "annotations": [], "categories": []}'):
        (tmp_path / "coco.json").write_text(content)
        with pytest.raises(UsageError, match="not in COCO format"):
            Annotations(tmp_path / "coco.json", labels)


@pytest.mark.parametrize(
    "content",
    [
        VOC.format(width="9" * 400, height=30),
        VOC.format(width=-40, height=30),
        VOC.format(width=40, height=30).replace("<xmin>", "<xmin>nan", 1),
        "<?xml version='1.0' encoding='no-such'?><annotation/>",
        "\0" * 100,
    ],
)
def test_xml_that_no_tool_writes_is_refused(tmp_path, pictures, content):
    (tmp_path / "rex.xml").write_text(content)
    with pytest.raises(AnnotationError, match="not a Pascal VOC annotation") as error:
        Annotations(tmp_path, imagenet_labels()).of(pictures[0], SIZE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("width", "side"),
    [
        *(("1e999", "16"), ("9" * 400, "16"), ("-1", "16"), ("[]", "16")),
        *(("40", "1e999"), ("40", "NaN"), ("40", "9" * 400), ("40", "null")),
    ],
)
def test_json_that_no_tool_writes_is_refused(tmp_path, width, side):
    content = """{"images": [{"id": 7, "file_name": "rex.jpg", "width": %s, "height": 30}],
        "categories": [{"id": 3, "name": "dog"}],
        "annotations": [{"image_id": 7, "category_id": 3, "bbox": [4, 2, %s, 10]}]}"""
    (tmp_path / "coco.json").write_text(content % (width, side))
    with pytest.raises(UsageError, match="not in COCO format"):
        Annotations(tmp_path / "coco.json", imagenet_labels())


def test_nested_json_and_binary_files_are_no_annotations(tmp_path):
    for content in ("[" * 200_000, "\0" * 10_000):
        (tmp_path / "coco.json").write_text(content)
        with pytest.raises(UsageError, match="not in COCO format"):
            Annotations(tmp_path / "coco.json", imagenet_labels())
