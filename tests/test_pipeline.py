"""Pictures with an object at a known place, through the real network to the written map."""

import numpy as np
import pytest
from PIL import Image
from same_results import assert_same_files, assert_same_predictions
from tasks import make_task

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.files.finding import find_pictures
from gradcam_cli.pictures.fitting import FITS, choose_input_size
from gradcam_cli.pictures.reading import read_picture
from gradcam_cli.run.pipeline import explain_pictures

DOG, PANDA = 235, 387


@pytest.fixture
def explain(explainer):
    """Explains paths and gives the results by the names of the pictures, in their order."""

    def run(paths, explainer=explainer, fit="keep", **options):
        classifier = explainer.classifier
        size = choose_input_size(classifier.input_size, classifier.any_size, fit)
        task = make_task(fit=fit, size=size, **options)
        return list(explain_pictures(find_pictures(paths), [explainer], task))

    return run


@pytest.fixture(scope="module")
def objects(samples):
    """Cut-outs that the network recognises by themselves."""
    dog = Image.open(samples / "dog.jpg").convert("RGB").crop((140, 0, 890, 750))
    panda = Image.open(samples / "red-panda.jpg").convert("RGB").crop((330, 20, 870, 560))
    return {DOG: dog, PANDA: panda}


def plant(objects, index, size, side, left, top, seed=None):
    if seed is None:
        picture = Image.new("RGB", size, (124, 116, 104))
    else:
        noise = np.random.default_rng(seed).integers(80, 160, (size[1] // 4, size[0] // 4, 3))
        picture = Image.fromarray(noise.astype(np.uint8)).resize(size)
    picture.paste(objects[index].resize((side, side), Image.Resampling.LANCZOS), (left, top))
    return picture


def assert_on_object(heat, box, centroid):
    left, top, right, bottom = box
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert left <= x < right, f"the peak is at {x}, {y}, the object at {box}"
    assert top <= y < bottom, f"the peak is at {x}, {y}, the object at {box}"
    # What is faint is spread everywhere.
    x, y = centroid(np.where(heat > 0.3, heat, 0))
    assert left <= x <= right, f"the centre is at {x}, {y}, the object at {box}"
    assert top <= y <= bottom, f"the centre is at {x}, {y}, the object at {box}"


PLACES = {
    "keep": [((450, 300), 150, 0, 0), ((450, 300), 150, 280, 100), ((250, 500), 150, 80, 350)],
    "squash": [((450, 300), 150, 0, 100), ((300, 450), 150, 100, 0)],
    "crop": [((600, 300), 140, 185, 30), ((300, 600), 140, 125, 300)],
    "cover": [((600, 300), 140, 150, 30), ((300, 600), 140, 80, 230)],
    "pad": [((450, 300), 180, 0, 80), ((300, 450), 180, 80, 0)],
}
# At the borders of a picture, or far enough from them: between, the nearest cell of the map
# reaches over the object.


@pytest.mark.parametrize("fit", FITS)
def test_the_heat_falls_on_the_object(tmp_path, explain, objects, centroid, fit):
    boxes = {}
    for number, (size, side, left, top) in enumerate(PLACES[fit]):
        for index in objects:
            name = f"{number}-{index}.png"
            plant(objects, index, size, side, left, top, seed=number).save(tmp_path / name)
            boxes[name] = index, (left, top, left + side, top + side)
    for result in explain([tmp_path], fit=fit, classes=[DOG, PANDA], heatmap="npy"):
        assert result.error is None
        index, box = boxes[result.picture.path.name]
        assert result.predictions[0].index == index
        target = next(t for t in result.targets if t.prediction.index == index)
        heat = np.load(target.heatmap)
        overlay = Image.open(target.output)
        assert heat.shape[::-1] == overlay.size == Image.open(result.picture.path).size
        assert_on_object(heat, box, centroid)


STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("fit", ["keep", "pad"])
def test_the_heat_falls_on_the_object_of_a_turned_file(tmp_path, explain, objects, centroid, fit):
    upright = plant(objects, DOG, (450, 300), 180, 20, 15)
    for orientation, transposition in STORED.items():
        exif = Image.Exif()
        exif[274] = orientation
        stored = upright.transpose(transposition)
        stored.save(tmp_path / f"{orientation}.jpg", quality=95, exif=exif)
    results = explain([tmp_path], fit=fit, classes=[DOG], heatmap="png", alpha=0)
    assert len(results) == len(STORED)
    for result in results:
        (target,) = result.targets
        overlay = Image.open(target.output)
        # Upright in its pixels, so that no reader turns it once more.
        assert overlay.size == (450, 300)
        assert not overlay.getexif().get(274)
        difference = np.asarray(overlay, float) - np.asarray(upright, float)
        assert np.abs(difference).mean() < 3
        heat = np.asarray(Image.open(target.heatmap), float) / 65535
        assert_on_object(heat, (20, 15, 200, 195), centroid)


def test_two_objects_are_told_apart(tmp_path, explain, objects, centroid):
    picture = plant(objects, DOG, (500, 250), 200, 20, 25)
    picture.paste(objects[PANDA].resize((200, 200)), (280, 25))
    picture.save(tmp_path / "both.png")
    (result,) = explain([tmp_path], classes=[DOG, PANDA], heatmap="npy")
    boxes = {DOG: (20, 25, 220, 225), PANDA: (280, 25, 480, 225)}
    for target in result.targets:
        assert_on_object(np.load(target.heatmap), boxes[target.prediction.index], centroid)
    assert [target.output.name for target in result.targets] == [
        "both_gradcam_235-german-shepherd.png",
        "both_gradcam_387-lesser-panda.png",
    ]


def test_crop_leaves_what_the_network_did_not_see(tmp_path, explain, objects):
    plant(objects, DOG, (600, 300), 140, 230, 80, seed=1).save(tmp_path / "wide.png")
    (result,) = explain([tmp_path], fit="crop", heatmap="npy", alpha=1)
    overlay = np.asarray(Image.open(result.targets[0].output))
    original = np.asarray(Image.open(tmp_path / "wide.png"))
    heat = np.load(result.targets[0].heatmap)
    left, right = 300 - 131, 300 + 131
    np.testing.assert_array_equal(overlay[:, : left - 1], original[:, : left - 1])
    np.testing.assert_array_equal(overlay[:, right + 1 :], original[:, right + 1 :])
    assert not heat[:, : left - 1].any()
    assert (overlay[100:200, left + 5 : right - 5] != original[100:200, left + 5 : right - 5]).any()


def test_bad_files_do_not_stop_the_rest(tmp_path, explain, save_picture):
    save_picture(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:500])
    save_picture(tmp_path / "c.png", size=(33, 97))
    (tmp_path / "d.png").write_text("no picture")
    save_picture(tmp_path / "e.webp")
    results = explain([tmp_path, tmp_path / "missing.jpg"])
    assert [result.error is None for result in results] == [True, False, True, False, True, False]
    for result in results:
        if result.error:
            assert result.picture.path.name in str(result.error)
            assert not result.targets
    assert len(list(tmp_path.glob("*_gradcam.png"))) == 3
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("fit", FITS)
def test_pictures_of_extreme_shapes_do_not_stop_the_rest(tmp_path, explain, save_picture, fit):
    sizes = [(4000, 10), (10, 4000), (1, 1), (2, 1), (1, 500), (64, 48)]
    for number, size in enumerate(sizes):
        save_picture(tmp_path / f"{number}.png", size=size)
    results = explain([tmp_path], fit=fit)
    assert [result.picture.path.name for result in results] == [f"{n}.png" for n in range(6)]
    for result, size in zip(results, sizes, strict=True):
        assert result.error is None
        assert Image.open(result.targets[0].output).size == size


def test_mixed_shapes_and_many_batches_keep_their_order(tmp_path, explain, save_picture):
    sizes = [(64, 48), (48, 64), (200, 50), (64, 64), (90, 30)]
    for number in range(47):
        size = sizes[number * 7 % 5]
        save_picture(tmp_path / f"{number:02}.jpg", size=size, seed=number)
    results = explain([tmp_path])
    assert [result.picture.path.name for result in results] == [f"{n:02}.jpg" for n in range(47)]
    for result in results:
        assert result.error is None
        overlay = Image.open(result.targets[0].output)
        assert overlay.size == Image.open(result.picture.path).size
        assert result.targets[0].output.name == f"{result.picture.path.stem}_gradcam.png"
    # Each result belongs to its own picture: alone it comes out the same.
    for number in (0, 13, 46):
        (alone,) = explain([tmp_path / f"{number:02}.jpg"])
        together = results[number]
        assert_same_predictions(alone.predictions, together.predictions, alone.picture.path.name)


def test_predictions_are_those_of_the_network(explain, samples, tmp_path, sample_classes):
    results = explain([samples], out=tmp_path, top_k=3)
    assert {r.picture.path.name: r.predictions[0].index for r in results} == sample_classes
    for result in results:
        probabilities = [prediction.probability for prediction in result.predictions]
        assert len(probabilities) == 3
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 < sum(probabilities) <= 1.001
        assert result.targets[0].prediction == result.predictions[0]
        assert result.targets[0].blank is None
        assert result.predictions[0].wnid.startswith("n")


def test_a_map_without_evidence_is_told_and_drawn_cold(
    tmp_path, explain, classify, small_model, save_picture
):
    model = small_model(size=32)
    kernel, bias = model.get_layer("scores").get_weights()
    kernel[:, 0] = -1
    model.get_layer("scores").set_weights([kernel, bias])
    save_picture(tmp_path / "a.png")
    explainer = Explainer(classify(model))
    (result,) = explain([tmp_path], explainer, fit="squash", classes=[0], heatmap="npy", alpha=1)
    (target,) = result.targets
    assert target.blank.reason == "nothing-positive"
    assert "--signed" in target.blank.note
    assert not np.load(target.heatmap).any()
    colors = np.unique(np.asarray(Image.open(target.output)).reshape(-1, 3), axis=0)
    assert colors.tolist() == [[0, 0, 127]]


def test_a_folder_that_cannot_be_written_is_told_for_each_picture(tmp_path, explain, save_picture):
    save_picture(tmp_path / "a.jpg")
    save_picture(tmp_path / "b.jpg")
    (tmp_path / "file").write_text("not a folder")
    results = explain([tmp_path], out=tmp_path / "file" / "maps")
    assert len(results) == 2
    for result in results:
        assert "cannot be written" in str(result.error)
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_tree_is_mirrored_and_originals_stay(tmp_path, explain, save_picture):
    paths = ["in/a.jpg", "in/a.png", "in/sub/a.jpg", "in/sub/deep/b.webp"]
    before = {path: save_picture(tmp_path / path).read_bytes() for path in paths}
    explain([tmp_path / "in"], out=tmp_path / "out", heatmap="png")
    found = {str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*.png")}
    assert found == {
        "out/a_gradcam.png",
        "out/a_heatmap.png",
        "out/a_png_gradcam.png",
        "out/a_png_heatmap.png",
        "out/sub/a_gradcam.png",
        "out/sub/a_heatmap.png",
        "out/sub/deep/b_gradcam.png",
        "out/sub/deep/b_heatmap.png",
    }
    for path, content in before.items():
        assert (tmp_path / path).read_bytes() == content
    assert len(list((tmp_path / "in").rglob("*.*"))) == 4


def test_running_twice_changes_nothing(tmp_path, explain, save_picture):
    save_picture(tmp_path / "a.jpg")
    save_picture(tmp_path / "a.png", seed=1)
    Image.new("RGB", (9, 9)).save(tmp_path / "b_gradcam.png")
    save_picture(tmp_path / "b.jpg", seed=2)

    def listing():
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    own = (tmp_path / "b_gradcam.png").read_bytes()
    assert len(explain([tmp_path])) == 4
    first = listing()
    assert len(explain([tmp_path])) == 4
    assert_same_files(listing(), first)
    assert first["b_gradcam.png"] == own, "the user's own file was written"
    assert set(first) == {
        "a.jpg",
        "a.png",
        "b.jpg",
        "b_gradcam.png",
        "a_gradcam.png",
        "a_png_gradcam.png",
        "b_jpg_gradcam.png",
        "b_gradcam_gradcam.png",
    }


def test_the_overlay_keeps_the_colour_profile(tmp_path, explain, save_picture):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save_picture(tmp_path / "a.jpg", icc_profile=profile)
    (result,) = explain([tmp_path])
    assert Image.open(result.targets[0].output).info["icc_profile"] == profile
    assert read_picture(result.targets[0].output).mode == "RGB"


def test_no_pictures_give_no_results(explain, tmp_path):
    assert explain([tmp_path]) == []
