"""The region above the threshold: alone as a mask, or as all that is coloured."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gradcam_cli.cli import main
from gradcam_cli.files.marks import is_own_result
from gradcam_cli.pictures.regions import hot_pixels


@pytest.fixture
def gradcam(tmp_path, monkeypatch, save_picture, small_model):
    """Runs the command on a small model, in a folder with a picture that crop cuts."""
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "dog.png", size=(100, 60))
    small_model(size=64).save("small.keras")

    def run(*args, code=0):
        given = ("--model", "small.keras", "--preprocess", "0-1", "--fit", "crop")
        result = CliRunner().invoke(main, ["dog.png", *args, *given])
        assert result.exit_code == code, result.stderr
        return result

    return run


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_a_mask_is_the_map_above_the_threshold(gradcam):
    done = gradcam("--mask", "--heatmap", "npy", "--threshold", "0.6", "--box", "--json")
    (target,) = json.loads(done.stdout)["targets"]
    assert target["mask"].endswith("_threshold0.6_mask.png")
    heat = np.load(target["heatmap"])
    with Image.open(target["mask"]) as mask:
        assert (mask.mode, mask.size, mask.format) == ("1", (100, 60), "PNG")
        assert "Grad-CAM of" in mask.text["Title"]
        inside = np.asarray(mask)
    np.testing.assert_array_equal(inside, heat >= 0.6 * heat.max())
    assert 0 < inside.sum() < inside.size
    left, top, right, bottom = target["region"]["box"]
    assert inside[top:bottom, left:right].any()
    assert is_own_result(Path(target["mask"]))
    # It isn't explained as a picture, and doesn't stay behind as another file.
    before = sorted(os.listdir())
    again = gradcam("--mask", "--heatmap", "npy", "--threshold", "0.6", "--box", "--skip-existing")
    assert "1 skipped" in again.stderr
    assert sorted(os.listdir()) == before
    assert "_mask.png" in gradcam("--mask").stdout


def test_each_class_has_its_mask(gradcam):
    gradcam("--mask", "-c", "0", "-c", "2", "-o", "several")
    names = {name for name in os.listdir("several") if name.endswith("_mask.png")}
    assert {name.split("_crop_")[1] for name in names} == {
        "0-class-0_mask.png",
        "2-class-2_mask.png",
    }
    gradcam("--mask", "--each", "--name", "{class}_{stem}", "-o", "each")
    assert len([name for name in os.listdir("each") if name.endswith("dog_mask.png")]) == 3
    gradcam("--mask", "-o", "one/only.png")
    assert sorted(os.listdir("one")) == ["only.png", "only_mask.png"]


def test_the_rest_of_the_picture_stays_as_it_is(gradcam):
    done = gradcam("--hot-only", "--threshold", "0.5", "--mask", "-o", "hot", "--json")
    (target,) = json.loads(done.stdout)["targets"]
    assert "_hot-only" in target["output"]
    inside = pixels(target["mask"])
    original, overlay = pixels("dog.png"), pixels(target["output"])
    np.testing.assert_array_equal(overlay[~inside], original[~inside])
    done = gradcam("-o", "all", "--json")
    (whole,) = json.loads(done.stdout)["targets"]
    np.testing.assert_array_equal(overlay[inside], pixels(whole["output"])[inside])
    assert (overlay[inside] != original[inside]).any(axis=1).mean() > 0.9


def test_an_empty_map_has_an_empty_mask():
    assert not hot_pixels(np.zeros((4, 5), np.float32)).any()
    assert not hot_pixels(np.full((4, 5), -1, np.float32), 0.5).any()
    np.testing.assert_array_equal(
        hot_pixels(np.array([[0.2, 0.1, 0.4]], np.float32), 0.5), [[True, False, True]]
    )


def test_what_needs_the_threshold(gradcam):
    refused = gradcam("--threshold", "0.5", code=2).stderr
    assert "--threshold needs --contour, --box, --mask or --hot-only" in refused
    refused = gradcam("--mask", "--method", "gradcam,layercam", code=2).stderr
    assert "--mask doesn't work with the sheet" in refused
    gradcam("--hot-only", "--threshold", "0.5", "--method", "gradcam,layercam")
