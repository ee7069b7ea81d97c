"""Variants of a picture lie side by side, and nothing of the user's is replaced."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from tasks import make_job

from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cli import main
from gradcam_cli.errors import UsageError
from gradcam_cli.files.finding import InputPicture, find_pictures
from gradcam_cli.files.marks import Mark, is_own_result
from gradcam_cli.files.name_pattern import NamePattern, name_part
from gradcam_cli.files.storage import to_path
from gradcam_cli.rendering.encoding import PICTURE_FORMATS, encode_picture
from gradcam_cli.run.result_names import result_names


@pytest.fixture
def gradcam(tmp_path, monkeypatch, save_picture, small_model):
    """Runs the command on a small model, in a folder with two pictures."""
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "dog.jpg")
    save_picture(tmp_path / "cat.jpg", seed=1)
    os.mkdir("models")
    small_model(size=64).save("models/small.keras")

    def run(*args, code=0):
        # Without a model's own name, so that only what is asked for is in the names.
        given = ("--model", "models/small.keras", "--preprocess", "0-1")
        result = CliRunner().invoke(main, [*map(str, args), *given])
        assert result.exit_code == code, result.stderr
        return result

    return run


def written():
    """The files of the current folder, without what all names of the model's have."""
    known = {"dog.jpg", "cat.jpg", "models"}
    return {name.replace("_small_0-1", "") for name in os.listdir()} - known


def names_of(**options):
    job = make_job(**options)
    explain = job.explain.with_methods("gradcam")
    return result_names(job.model, explain, job.draw, job.write, "last")


def test_the_plain_command_has_plain_names():
    names = names_of()
    assert names.overlay("") == "{stem}_gradcam"
    assert names.heatmap("") == "{stem}_heatmap"
    assert names.figure("") == "{stem}_gradcam_figure"
    assert names.identity == ""
    # What is given, but is the default, is the default.
    same = names_of(model="EfficientNet_Lite0", methods=["gradcam"], colormap="jet", threshold=0.15)
    assert (same.overlay(""), same.identity) == ("{stem}_gradcam", "")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"methods": ["layercam"]}, "layercam"),
        ({"methods": ["layercam", "fem"]}, "layercam"),
        ({"model": "resnet50"}, "gradcam_resnet50"),
        ({"model": "runs/one/best.keras"}, "gradcam_best"),
        # The layer says which model it is.
        ({"model": "vgg19", "layers": ["block5_conv4"]}, "gradcam_block5_conv4"),
        ({"model": "vgg16", "layers": ["block5_conv3"]}, "gradcam_vgg16_block5_conv3"),
        ({"layers": ["a/b", -3], "fusion": "max"}, "gradcam_a-b+layer-3_max"),
        ({"smooth": True, "fit": "squash", "size": (96, 128)}, "gradcam_96x128_smooth_squash"),
        ({"size": (96, 96), "weights": Path("w/my.weights.h5")}, "gradcam_my_96"),
        ({"output": "animals", "preprocess": "0-1"}, "gradcam_animals_0-1"),
        ({"colormap": "viridis", "alpha": 0.25}, "gradcam_viridis_alpha0.25"),
        ({"contour": True, "box": True, "threshold": 0.5}, "gradcam_contour_box_threshold0.5"),
        ({"each": True, "top_k": 5}, "gradcam_top5"),
        ({"top_k": 5}, "gradcam"),
    ],
)
def test_what_is_not_the_default_is_part_of_the_name(options, name):
    names = names_of(**options)
    assert names.overlay("") == f"{{stem}}_{name}"
    assert names.overlay("1-b") == f"{{stem}}_{name}_1-b"
    assert bool(names.identity) == (name not in ("gradcam", "layercam"))


def test_a_figure_names_all_methods():
    names = names_of(methods=["gradcam", "layercam"])
    assert names.overlay("") == "{stem}_gradcam"
    assert names.figure("") == "{stem}_gradcam+layercam_figure"
    assert names.sheet("1-b") == "{stem}_gradcam+layercam_1-b"
    assert names_of(methods=["layercam"]).heatmap("") == "{stem}_heatmap_layercam"


def test_names_have_room_for_that_of_the_picture():
    layers = [f"a_very_long_name_of_a_layer_{number}" for number in range(20)]
    one, other = names_of(layers=layers), names_of(layers=layers[::-1])
    assert len(one.figure("")) < 120
    assert one.figure("") != other.figure("")
    every = names_of(methods=list(METHODS), name="{method}{layer}{model}{class}{stem}")
    assert len(every.figure("c" * 40)) < 150


def test_parts_of_names_suit_any_file_system():
    assert name_part("a/b: c?") == "a-b-c"
    assert name_part("日本" * 30) != name_part("日本" * 31)
    assert len(name_part("日本" * 30).encode()) <= 40
    assert name_part("gradcam++") == "gradcam++"
    assert name_part("St. Bernard v1.5.") == "St-Bernard-v1.5"


def test_variants_lie_side_by_side(gradcam):
    gradcam("dog.jpg")
    gradcam("dog.jpg", "--class", "1")
    gradcam("dog.jpg", "--method", "Layer-CAM")
    gradcam("dog.jpg", "--layer", "first")
    gradcam("dog.jpg", "--method", "gradcam,layercam")
    assert written() == {
        *("dog_gradcam.png", "dog_gradcam_1-class-1.png", "dog_layercam.png"),
        *("dog_gradcam_first.png", "dog_gradcam+layercam.png"),
    }
    before = written()
    plain = Path("dog_gradcam_small_0-1.png")
    first = plain.stat().st_mtime_ns
    gradcam("dog.jpg", "--layer", "first")
    assert plain.stat().st_mtime_ns == first
    gradcam("dog.jpg")
    assert written() == before
    assert plain.stat().st_mtime_ns > first
    # Nothing of it is explained.
    assert [picture.path.name for picture in find_pictures(["."])] == ["cat.jpg", "dog.jpg"]


def test_another_model_of_the_same_name_takes_nothing(gradcam, small_model):
    gradcam("dog.jpg")
    os.mkdir("others")
    small_model(size=64, classes=5).save("others/small.keras")
    given = ("dog.jpg", "--model", "others/small.keras", "--preprocess", "0-1")
    for _ in range(2):
        assert CliRunner().invoke(main, given).exit_code == 0
    assert written() == {"others", "dog_gradcam.png", "dog_jpg_gradcam.png"}


def test_a_figure_is_replaced_although_the_plain_command_ran_since(gradcam):
    gradcam("dog.jpg", "--figure", "pdf")
    gradcam("dog.jpg")
    gradcam("dog.jpg", "--figure", "pdf")
    assert written() == {"dog_gradcam.png", "dog_gradcam_figure.pdf"}


def test_results_are_named_as_the_user_wants(gradcam):
    gradcam("dog.jpg", "--name", "{stem}_{method}_{class}", "--class", "2")
    gradcam("dog.jpg", "--name", "{model} {layer} of {stem}", "--heatmap", "npy", "--figure", "pdf")
    gradcam("dog.jpg", "--name", "{{{stem}}}", "--format", "webp")
    gradcam("dog.jpg", "--name", "{class}", "--class", "1", "--class", "2", "--figure", "svg")
    assert written() == {
        "dog_gradcam_2-class-2.png",
        *(f"small last of dog{kind}" for kind in (".png", "_heatmap.npy", "_figure.pdf")),
        "{dog}.webp",
        *("1-class-1.png", "2-class-2.png", "1-class-1+2-class-2_figure.svg"),
    }
    assert [picture.path.name for picture in find_pictures(["."])] == ["cat.jpg", "dog.jpg"]


def test_a_name_of_the_users_own_file_is_left_to_it(gradcam):
    own = Path("dog.jpg").read_bytes()
    gradcam("dog.jpg", "--name", "{stem}", "--format", "jpg")
    assert written() == {"dog_jpg.jpg"}
    assert Path("dog.jpg").read_bytes() == own
    done = gradcam("cat.jpg", "--name", "dog", "--format", "jpg", code=1)
    assert "dog.jpg: exists already" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--name", "same"], "several results in . the same name; add {stem} to it"),
        (["--name", "{stem}", "--each"], "add {class} to it"),
        (["--name", "{stem}", "--class", "0", "--class", "1"], "add {class} to it"),
        (["--name", "{stem}_{class}", "--skip-existing"], "leave out {class} or --skip-existing"),
        (["--name", "{stem}_{size}"], "there is no field {size}"),
        (["--name", "{stem}{stem}"], "use each field only once"),
        (["--name", "{stem:>9}"], "without a format"),
        (["--name", "{stem"], "the braces don't match"),
        (["--name", "maps/{stem}"], "choose the folder with --out"),
        (["--name", ""], "a name can't be empty"),
        (["--name", "{stem}" + "x" * 61], "can have at most 60 bytes"),
        (["--out", "both.png"], "is one file for 2 pictures; choose a folder (both/)"),
    ],
)
def test_clashes_and_odd_patterns_are_told_before_the_work(gradcam, arguments, told):
    done = gradcam(".", *arguments, code=2)
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert written() == set()


def test_a_list_of_classes_needs_them_in_the_name(gradcam):
    Path("list.csv").write_text("path,class\ndog.jpg,0\ndog.jpg,1\n")
    done = gradcam("--from-file", "list.csv", "--name", "{stem}", code=2)
    assert "add {class} to it" in done.stderr
    gradcam("--from-file", "list.csv", "--name", "{stem}_{class}")
    assert written() == {"list.csv", "dog_0-class-0.png", "dog_1-class-1.png"}


def test_out_names_the_file_of_one_picture(gradcam):
    gradcam("dog.jpg", "-o", "seen.jpeg", "--heatmap", "npy")
    with Image.open("seen.jpeg") as image:
        assert image.format == "JPEG"
    done = gradcam("dog.jpg", "-o", "new/{x}.png", "--json")
    assert json.loads(done.stdout)["targets"][0]["output"] == "new/{x}.png"
    gradcam("dog.jpg", "-o", "sheet.webp", "--method", "gradcam,layercam")
    # A result may be replaced, even by that of another picture: the user named it.
    gradcam("cat.jpg", "-o", "seen.jpeg")
    gradcam("dog.jpg", "-o", "maps.png/")
    assert os.listdir("maps.png") == ["dog_gradcam_small_0-1.png"]
    gradcam("cat.jpg", "-o", "maps.png")
    assert len(os.listdir("maps.png")) == 2
    assert written() == {"seen.jpeg", "seen_heatmap.npy", "new", "sheet.webp", "maps.png"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-o", "dog.jpg"], "--out dog.jpg: exists already and was not written by gradcam"),
        (["-o", "notes.txt"], "overlays can be written as png, jpg, webp"),
        (["-o", "map.tif"], "overlays can be written as png, jpg, webp"),
        (["-o", "map.png", "--format", "webp"], "are different formats"),
        (["-o", "map.png", "--name", "{stem}"], "leave out --name"),
        (["-o", "map.png", "--each"], "each class needs its own; choose a folder (map/)"),
    ],
)
def test_out_says_why_it_cannot_be_the_file(gradcam, arguments, told):
    Path("notes.txt").write_text("mine")
    own = Path("dog.jpg").read_bytes()
    done = gradcam("dog.jpg", *arguments, code=2)
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert written() == {"notes.txt"}
    assert Path("dog.jpg").read_bytes() == own


@pytest.mark.parametrize("format_", PICTURE_FORMATS)
def test_a_result_is_known_by_any_name(tmp_path, format_):
    path = tmp_path / f"holiday.{format_}"
    picture = Image.effect_noise((900, 700), 90).convert("RGB")
    profile = os.urandom(100_000)
    path.write_bytes(encode_picture(picture, format_, Mark("title", "a.jpg", "b" * 16), profile))
    assert is_own_result(path)
    picture.save(path)
    assert not is_own_result(path)


def test_results_in_a_store_are_known_by_the_names_of_methods():
    image = encode_picture(Image.new("RGB", (2, 2)), mark=Mark("title", "a.jpg", "b" * 16))
    for method in METHODS:
        path = to_path(f"memory://known/dog_{method}_1-b.png")
        path.fs.pipe_file(path.path, image)
        assert is_own_result(path), method


def test_a_pattern_tells_what_names_begin_with():
    assert NamePattern("map of {stem}-{class}").before_stem == "map of "
    assert NamePattern("{stem}").before_stem == ""
    assert NamePattern("{class}_{stem}").before_stem is None
    assert NamePattern("dog").before_stem is None
    with pytest.raises(UsageError):
        _ = NamePattern("{}").parts


def test_pictures_of_several_folders_may_share_a_name(tmp_path):
    job = make_job(name="map", out=tmp_path)
    one, other = (InputPicture(Path(name, "a.jpg"), Path(name)) for name in ("one", "other"))
    job.check_names([one, other])
    with pytest.raises(UsageError, match=r"add \{stem\} to it"):
        job.check_names([one, other, InputPicture(Path("one", "b.jpg"), Path("one"))])
