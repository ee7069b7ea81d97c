"""Where heat and objects are, by hand; and the formats that say where objects are."""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import AnnotationError, GradcamWarning, UsageError
from gradcam_cli.evaluation import metrics
from gradcam_cli.evaluation.annotated_shapes import Polygons
from gradcam_cli.evaluation.annotations import AnnotatedObject, Annotations
from gradcam_cli.evaluation.class_kinds import find_kinds
from gradcam_cli.evaluation.loading import LoadedPicture
from gradcam_cli.evaluation.localisation import (
    box_iou,
    energy_pointing_game,
    localisation_error,
    pointing_game,
)
from gradcam_cli.evaluation.located_heat import locate_heat
from gradcam_cli.files.finding import InputPicture, find_pictures
from gradcam_cli.models.labels import Labels, imagenet_labels
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
    assert (dog.classes, len(dog.objects)) == ((5,), 2)
    assert (cat.classes, len(cat.objects)) == ((7,), 1)
    assert dog.heat.shape == cat.heat.shape == (30, 40)
    assert dog.heat[0, 0] < 0.1 < 0.9 < cat.heat[0, 0]
    # Where nothing else is known, the explained class is what may lie there.
    (unknown,) = locate(named[3:])
    assert unknown.classes == ()
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
    assert (person.box, person.classes) == ((0, 0, 1.5, 2), ())
    content["images"][0]["file_name"] = "max.jpg"
    path.write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match="not listed in"):
        Annotations(path, imagenet_labels()).of(pictures[0], SIZE)


def read_segmentation(tmp_path, pictures, segmentation, size=SIZE, **fields):
    """Reads a COCO file with one dog of this segmentation, for a picture of 40 by 30 pixels."""
    annotation = {"image_id": 7, "category_id": 3, "segmentation": segmentation, **fields}
    content = {
        "images": [{"id": 7, "file_name": "rex.jpg", "width": 40, "height": 30}],
        "categories": [{"id": 3, "name": "German shepherd"}],
        "annotations": [annotation],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    return Annotations(tmp_path / "coco.json", imagenet_labels()).of(pictures[0], size)


def test_polygons_cover_the_pixels_whose_centres_are_inside(tmp_path, pictures):
    # A right triangle: of row r, the columns up to 9 - r, since their centres are left of 10 - r.
    triangle = [2, 1, 12, 1, 2, 11]
    expected = np.zeros((30, 40), bool)
    for row in range(10):
        expected[1 + row, 2 : 11 - row] = True
    (dog,) = read_segmentation(tmp_path, pictures, [triangle])
    np.testing.assert_array_equal(dog.cover((30, 40)), expected)
    assert dog.box == (2, 1, 11, 10)
    # Another part, and one with a hole where the polygon runs over itself.
    square = [20, 10, 24, 10, 24, 14, 20, 14]
    expected[10:14, 20:24] = True
    expected[20:26, 30:36] = True
    expected[22:24, 32:34] = False
    hole = [30, 20, 36, 20, 36, 26, 30, 26, 30, 20, 32, 22, 34, 22, 34, 24, 32, 24, 32, 22]
    (dog,) = read_segmentation(tmp_path, pictures, [triangle, square, hole], bbox=[2, 1, 34, 25])
    np.testing.assert_array_equal(dog.cover((30, 40)), expected)
    assert dog.box == (2, 1, 36, 26)
    # Twice as large, the square has twice the pixels on each side; what is outside is cut off.
    (dog,) = read_segmentation(tmp_path, pictures, [square], (80, 60))
    assert dog.box == (40, 20, 48, 28)
    assert dog.cover((60, 80)).sum() == 64
    (dog,) = read_segmentation(tmp_path, pictures, [[-5, -5, 3, -5, 3, 2, -5, 2]])
    assert dog.cover((30, 40)).sum() == 6
    # A point of it is on the object, and others have their distance from it.
    assert dog.distance(2.5, 1.5) == 0
    assert dog.distance(6, 1.5) == 3
    # One that covers no centre of a pixel leaves its box.
    (dog,) = read_segmentation(
        tmp_path, pictures, [[3.6, 3.6, 4.4, 3.6, 4, 4.4]], bbox=[3, 3, 2, 2]
    )
    assert (dog.mask, dog.box) == (None, (3, 3, 5, 5))


def test_run_lengths_go_down_the_columns(tmp_path, pictures):
    expected = np.zeros((30, 40), bool)
    # 40 off: the first column and 10 of the second; 10 on, 3 off, 2 on, and the rest off.
    expected[10:20, 1] = expected[23:25, 1] = True
    counts = [40, 10, 3, 2, 30 * 40 - 55]
    (dog,) = read_segmentation(tmp_path, pictures, {"size": [30, 40], "counts": counts})
    np.testing.assert_array_equal(dog.cover((30, 40)), expected)
    assert dog.box == (1, 10, 2, 25)
    # Compressed: five bits in a character from "0" on, and from the fourth number on the
    # difference to the last but one: 40, 10, 3, 2 - 10, 1145 - 3.
    compressed = "X1" + ":" + "3" + "H" + "fS1"
    (dog,) = read_segmentation(tmp_path, pictures, {"size": [30, 40], "counts": compressed})
    np.testing.assert_array_equal(dog.cover((30, 40)), expected)
    (dog,) = read_segmentation(
        tmp_path, pictures, {"size": [30, 40], "counts": counts}, size=(20, 15)
    )
    assert dog.cover((15, 20)).sum() in range(1, 12)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[2, 1, 12, 1, 2]], "pairs of numbers"),
        ([[2, 1, 12, float("nan"), 2, 11]], "not finite"),
        ([[2, 1, 1e30, 1, 2, 11]], "far outside"),
        ([["a", 1, 12, 1, 2, 11]], "could not convert"),
        ("polygon", "neither polygons nor run lengths"),
        ([[0, 0, 40, 30] * 60_000], "too many points"),
        ([[0, 0, 40, 0, 40, 30]] * 10_001, "too many polygons"),
        ({"size": [30, 40], "counts": [1200, 1]}, "don't add up"),
        ({"size": [30, 40], "counts": [-1, 1201]}, "don't add up"),
        ({"size": [30, 40], "counts": [10**30]}, "don't add up"),
        ({"size": [40, 30], "counts": [1200]}, "and its picture 40×30 px"),
        ({"size": [30, 40], "counts": "XXXXXXXXXXXXXXXXXXXX"}, "damaged"),
        ({"size": [30, 40], "counts": "X"}, "cut off"),
        ({"size": [30, 40], "counts": "é"}, "damaged"),
        ({"size": [30, 40]}, "counts"),
        (None, "neither a box nor a segmentation"),
    ],
)  # fmt: skip
def test_damaged_segmentations_fail_in_one_line(tmp_path, pictures, segmentation, reason):
    with pytest.raises(AnnotationError, match=reason) as error:
        read_segmentation(tmp_path, pictures, segmentation)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_a_polygon_that_would_take_minutes_is_refused():
    zigzag = np.tile([[0.0, 0.0], [90.0, 9000.0]], (2000, 1))
    with pytest.raises(ValueError, match="too long"):
        Polygons((zigzag,)).draw((100, 10_000), (1.0, 1.0))
    assert Polygons((zigzag[:3],)).draw((100, 10_000), (1.0, 1.0)) is None


def test_a_mask_without_the_size_of_its_picture_has_its_own(tmp_path):
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 3, "name": "x"}],
        "annotations": [
            {
                "image_id": 1,
                "category_id": 3,
                "segmentation": {"size": [30, 40], "counts": [0, 1200]},
            }
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    annotations = Annotations(tmp_path / "coco.json", imagenet_labels())
    picture = InputPicture(tmp_path / "a.jpg", Path())
    with pytest.raises(AnnotationError, match="is 30×30 px, but its annotation was made for 40×30"):
        annotations.of(picture, (30, 30))
    for size in ([10**6, 10**6], [-30, -40], [0, 0]):
        content["annotations"][0]["segmentation"]["size"] = size
        (tmp_path / "coco.json").write_text(json.dumps(content))
        with pytest.raises(AnnotationError, match="a mask has"):
            Annotations(tmp_path / "coco.json", imagenet_labels()).of(picture, (30, 30))


def test_heat_on_a_crowd_counts_neither_for_nor_against(tmp_path, pictures):
    box_of = {"image_id": 7, "category_id": 3}
    content = {
        "images": [{"id": 7, "file_name": "rex.jpg", "width": 40, "height": 30}],
        "categories": [{"id": 3, "name": "German shepherd"}, {"id": 4, "name": "tabby"}],
        "annotations": [
            {**box_of, "bbox": [0, 0, 10, 10]},
            {**box_of, "bbox": [20, 10, 20, 20], "iscrowd": 1},
            {"image_id": 7, "category_id": 4, "bbox": [10, 0, 5, 5], "iscrowd": 1},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    annotation = Annotations(tmp_path / "coco.json", imagenet_labels()).read(pictures[0], SIZE)
    assert [known.box for known in annotation.objects] == [(0, 0, 10, 10)]
    assert len(annotation.ignored) == 2
    prepared = InputShape("squash", (40, 30), 1).prepare(Image.new("RGB", SIZE))
    heat = np.zeros((30, 40), np.float32)
    heat[2:4, 2:4] = 0.5
    heat[0:2, 11:13] = 0.5
    heat[20:22, 30:32] = 1
    picture = LoadedPicture(prepared, annotation.objects, annotation.ignored)
    (located,) = locate_heat(picture, heat, 235, np.ones(1000), None)
    # Half of the heat outside of its own crowd; that of cats counts for this class.
    assert metrics.energy_pointing_game(located) == pytest.approx(0.5, abs=0.01)
    assert energy_pointing_game(located.heat, located.objects) == pytest.approx(0.25, abs=0.01)
    # The hottest point is in the crowd: the pointing game has no answer.
    assert metrics.pointing_game(located) is None
    far = dataclasses.replace(located, heat=located.heat[::-1])
    assert metrics.pointing_game(far) == 0
    assert metrics.pointing_game(dataclasses.replace(located, heat=0 * located.heat)) == 0


def save_palette(path, values):
    path.parent.mkdir(exist_ok=True)
    image = Image.fromarray(values).convert("P")
    image.putdata(values.ravel().tolist())
    image.save(path)


def test_the_layout_of_pascal_voc(tmp_path, pictures):
    voc = tmp_path / "VOC2012"
    (voc / "Annotations").mkdir(parents=True)
    # The dog's mask is numbered second, and a border of 255 lies around it.
    values = np.zeros((30, 40), np.uint8)
    values[1:13, 3:21] = 255
    values[2:12, 4:20] = 2
    values[20:25, 30:40] = 1
    classes = np.where(values == 2, 12, np.where(values == 1, 8, values)).astype(np.uint8)
    save_palette(voc / "SegmentationClass" / "rex.png", classes)
    annotations = Annotations(voc, imagenet_labels())
    by_class = annotations.read(pictures[0], SIZE)
    assert [known.class_name for known in by_class.objects] == ["cat", "dog"]
    save_palette(voc / "SegmentationObject" / "rex.png", values)
    cat, dog = annotations.of(pictures[0], SIZE)
    assert (cat.class_name, cat.box) == ("cat", (30, 20, 40, 25))
    assert (dog.class_name, dog.box) == ("dog", (4, 2, 20, 12))
    # Names, boxes and difficult objects are those of the XML.
    (voc / "Annotations" / "rex.xml").write_text(VOC.format(width=40, height=30))
    annotation = annotations.read(pictures[0], SIZE)
    shepherd, boot = annotation.objects
    assert (shepherd.class_index, shepherd.box) == (235, (4, 2, 20, 12))
    assert shepherd.cover((30, 40)).sum() == 160
    assert boot.mask is None
    cat, outline = annotation.ignored
    assert (cat.class_name, cat.box) == ("cat", (0, 0, 2, 2))
    np.testing.assert_array_equal(outline.cover((30, 40)), values == 255)
    # Names of other classes are not guessed.
    (voc / "Annotations" / "rex.xml").unlink()
    (voc / "class_names.txt").write_text("background\nscrew")
    assert [known.class_name for known in annotations.of(pictures[0], SIZE)] == [None, None]
    save_palette(voc / "SegmentationClass" / "rex.png", classes[:20])
    with pytest.raises(AnnotationError, match=r"40×20 px, but .*SegmentationObject.* has 40×30"):
        annotations.of(pictures[0], SIZE)
    Image.fromarray(values).save(voc / "SegmentationClass" / "rex.png")
    with pytest.raises(AnnotationError, match="has no palette"):
        annotations.of(pictures[0], SIZE)
    with pytest.raises(AnnotationError, match=r"neither Annotations/max\.xml nor a mask max\.png"):
        annotations.of(InputPicture(tmp_path / "max.jpg", Path()), SIZE)


def test_the_layout_of_coco(tmp_path, pictures):
    places = ("train/dogs/rex.jpg", "val/rex.jpg", "rex.jpg")
    content = {
        "images": [
            {"id": number, "file_name": name, "width": 40, "height": 30}
            for number, name in enumerate(places)
        ],
        "categories": [{"id": 3, "name": "tabby"}],
        "annotations": [
            {"image_id": number, "category_id": 3, "bbox": [number, 0, 9, 9]} for number in range(3)
        ],
    }
    (tmp_path / "annotations").mkdir()
    file = tmp_path / "annotations" / "instances_val2017.json"

    def left_of(folder, names):
        chosen = [image for image in content["images"] if image["file_name"] in names]
        file.write_text(json.dumps({**content, "images": chosen}))
        annotations = Annotations(tmp_path, imagenet_labels())
        picture = InputPicture(tmp_path / "rex.jpg", Path(folder))
        return annotations.of(picture, SIZE)[0].box[0]

    # The picture in dogs/ is that of train/dogs/, not that of val/.
    assert left_of("dogs", places[:2]) == 0
    assert left_of("images/val", places[:2]) == 1
    assert left_of("", places) == 2
    with pytest.raises(
        AnnotationError, match=r"it lists several of this name: train/dogs/rex\.jpg"
    ):
        left_of("", places[:2])
    with pytest.raises(AnnotationError, match=r"not listed in .*instances_val2017\.json"):
        left_of("cats", places[:2])
    (tmp_path / "annotations" / "instances_train2017.json").write_text("{}")
    with pytest.raises(UsageError, match="there are 2 files of annotations"):
        Annotations(tmp_path, imagenet_labels())


def test_names_of_coco_stand_for_the_kinds_in_imagenet(tmp_path, pictures):
    labels = imagenet_labels()
    (tmp_path / "rex.xml").write_text(VOC.format(width=40, height=30).replace("n02106662", "dog"))
    dog = Annotations(tmp_path, labels).of(pictures[0], SIZE)[0]
    assert dog.class_index is None
    assert dog.classes == tuple(range(151, 269))
    # Its kite is a bird, and where the classes aren't ImageNet's, names are names.
    assert find_kinds("kite", labels) == ()
    assert find_kinds("Dining_table", labels) == (532,)
    assert find_kinds("spatula", labels) is None
    assert find_kinds("dog", Labels([["dog"], ["kite"]])) is None
    for name, part in (("cat", "cat"), ("elephant", "elephant"), ("bottle", "bottle")):
        assert any(part in labels.name(kind) for kind in find_kinds(name, labels))
    # The map is that of the explained breed, or else of the most probable one.
    prepared = InputShape("squash", (40, 30), 1).prepare(Image.new("RGB", SIZE))
    asked = []

    def explain(inputs, targets):
        asked.extend(targets.tolist())
        return np.ones((1, 30, 40), np.float32)

    probabilities = np.zeros(1000, np.float32)
    probabilities[[236, 281]] = 0.3, 0.6
    heat = np.ones((30, 40), np.float32)
    (located,) = locate_heat(LoadedPicture(prepared, [dog]), heat, 235, probabilities, explain)
    assert asked == []
    (located,) = locate_heat(LoadedPicture(prepared, [dog]), heat, 281, probabilities, explain)
    assert asked == [236]
    # The second guess is a dog.
    whole = dataclasses.replace(located, objects=[dataclasses.replace(dog, box=(0, 0, 40, 30))])
    assert metrics.localisation_error_top_1(whole) == 1
    assert metrics.localisation_error_top_5(whole) == 0


def test_classes_that_the_model_does_not_have_are_told_once(tmp_path, pictures):
    (tmp_path / "rex.xml").write_text(VOC.format(width=40, height=30).replace("n02106662", "elk"))
    annotations = Annotations(tmp_path, imagenet_labels())
    with pytest.warns(GradcamWarning, match="the model has no class 'elk' or 'rubber boot'"):
        annotations.of(pictures[0], SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        annotations.of(pictures[0], SIZE)


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
    with pytest.raises(AnnotationError, match="its annotation was made for 40×30 px"):
        Annotations(tmp_path, imagenet_labels()).of(pictures[0], (30, 40))


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
def test_json_that_no_tool_writes_is_refused_for_its_picture(tmp_path, pictures, width, side):
    content = """{"images": [{"id": 7, "file_name": "rex.jpg", "width": %s, "height": 30}],
        "categories": [{"id": 3, "name": "dog"}],
        "annotations": [{"image_id": 7, "category_id": 3, "bbox": [4, 2, %s, 10]}]}"""
    (tmp_path / "coco.json").write_text(content % (width, side))
    annotations = Annotations(tmp_path / "coco.json", imagenet_labels())
    with pytest.raises(AnnotationError, match=r"coco\.json is damaged") as error:
        annotations.of(pictures[0], SIZE)
    assert "\n" not in str(error.value)


def test_nested_json_and_binary_files_are_no_annotations(tmp_path):
    for content in ("[" * 200_000, "\0" * 10_000):
        (tmp_path / "coco.json").write_text(content)
        with pytest.raises(UsageError, match="not in COCO format"):
            Annotations(tmp_path / "coco.json", imagenet_labels())
