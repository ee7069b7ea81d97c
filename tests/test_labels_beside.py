"""Files with class names beside a model, and Git LFS pointers in the place of files."""

import json
import os
import shutil

import keras
import pytest
from click.testing import CliRunner

from gradcam_cli.cli import main
from gradcam_cli.errors import GradcamWarning, ImageError, ModelFileError
from gradcam_cli.models.labels_beside import find_labels
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.reading import read_picture

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 14000000\n"


@pytest.fixture
def folder(tmp_path, monkeypatch, small_model, save_picture):
    """A folder with a model of three classes and a picture, which is the current one."""
    monkeypatch.chdir(tmp_path)
    small_model().save("pets.keras")
    save_picture(tmp_path / "photo.png")
    return tmp_path


def gradcam(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def names(labels):
    return [labels.name(index) for index in range(len(labels))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.txt", "2 Bird\n0 Cat\n1 Dog\n"),
        ("class_names.json", '["Cat", "Dog", "Bird"]'),
        ("class_indices.json", '{"Dog": 1, "Cat": 0, "Bird": 2}'),
        ("pets_labels.txt", "Cat\nDog\nBird"),
    ],
)
def test_a_file_beside_the_model_names_its_classes(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    labels = find_labels(tmp_path / "pets.keras", 3)
    assert names(labels) == ["Cat", "Dog", "Bird"]
    assert labels.origin.startswith(f"{name} beside the model")


def test_the_file_of_the_model_comes_first_and_one_inside_before_one_beside(tmp_path):
    model = tmp_path / "pets"
    model.mkdir()
    (tmp_path / "labels.txt").write_text("a\nb\n")
    assert find_labels(model, 2).origin == "labels.txt beside the model"
    (tmp_path / "pets_labels.txt").write_text("c\nd\n")
    assert names(find_labels(model, 2)) == ["c", "d"]
    (model / "class_names.json").write_text('["e", "f"]')
    assert find_labels(model, 2).origin == "class_names.json inside the model"


def test_a_file_that_does_not_fit_is_told_unless_another_fits(tmp_path):
    model = tmp_path / "pets.keras"
    assert find_labels(model, 3) is None
    (tmp_path / "labels.txt").write_text("Cat\nDog\n")
    with pytest.warns(GradcamWarning) as told:
        assert find_labels(model, 3) is None
    assert str(told.list[0].message) == (
        f"{tmp_path}/labels.txt: 2 names, but the model has 3 classes, so it isn't used; name "
        f"the classes with --labels FILE"
    )
    (tmp_path / "class_indices.json").write_text('{"a": 0, "b": 1, "c": 2}')
    assert names(find_labels(model, 3)) == ["a", "b", "c"]


def test_a_hostile_file_beside_the_model_costs_little(tmp_path):
    model = tmp_path / "pets.keras"
    (tmp_path / "labels.txt").touch()
    os.truncate(tmp_path / "labels.txt", 1 << 40)
    os.mkfifo(tmp_path / "class_names.json")
    (tmp_path / "class_indices.json").symlink_to("class_indices.json")
    with pytest.warns(GradcamWarning, match=r"larger than 16 MB\), so it isn't used"):
        assert find_labels(model, 3) is None


def test_a_file_beside_the_model_wins_over_the_names_of_imagenet(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(inputs))
    keras.Model(inputs, keras.layers.Dense(1000)(x)).save(tmp_path / "own.keras")
    options = ModelOptions(str(tmp_path / "own.keras"))
    assert load_classifier(options).labels.name(281) == "tabby"
    (tmp_path / "labels.txt").write_text("\n".join(f"kind {n}" for n in range(1000)))
    assert load_classifier(options).labels.name(281) == "kind 281"


def test_the_commands_say_where_names_are_from(folder):
    (folder / "labels.txt").write_text("1 Dog\n0 Cat\n2 Bird\n")
    done = gradcam("photo.png", "-m", "pets.keras", "-c", "bird", "-o", "maps/")
    assert done.exit_code == 0, done.output
    assert "class names from labels.txt beside the model, by its numbers\n" in done.stdout
    # The class is part of the name, but not where its name is from.
    assert [path.name for path in (folder / "maps").iterdir()] == ["photo_gradcam_pets_2-bird.png"]
    done = gradcam("info", "pets.keras")
    assert "from labels.txt beside the model, by its numbers" in done.stdout
    assert "Cat, Dog, Bird" in done.stdout
    record = json.loads(gradcam("info", "pets.keras", "--json").stdout)
    assert record["class_names"] == "labels.txt beside the model, by its numbers"
    assert [one["name"] for one in record["classes"]] == ["Cat", "Dog", "Bird"]
    # What the user names comes first.
    (folder / "other.txt").write_text("x\ny\nz\n")
    record = json.loads(gradcam("info", "pets.keras", "--labels", "other.txt", "--json").stdout)
    assert record["class_names"] is None
    assert record["classes"][0]["name"] == "x"


def test_a_file_that_does_not_fit_warns_once_but_is_an_error_if_it_was_named(folder):
    (folder / "labels.txt").write_text("Bär\nDog\n", "cp1252")
    done = gradcam("photo.png", "-m", "pets.keras", "-o", "maps/")
    assert done.exit_code == 0, done.output
    assert "class names from" not in done.stdout
    assert done.stderr.count("2 names, but the model has 3 classes, so it isn't used") == 1
    done = gradcam("photo.png", "-m", "pets.keras", "-o", "maps/", "--quiet")
    assert done.output == ""
    done = gradcam("photo.png", "-m", "pets.keras", "--labels", "labels.txt")
    assert done.exit_code == 2
    warning, error = done.stderr.splitlines()
    assert warning.startswith("Warning: --labels labels.txt: is not UTF-8; read as Windows-1252")
    assert error == "Error: --labels labels.txt: 2 names, but the model has 3 classes"


def test_a_class_that_a_named_file_lacks_is_refused_before_the_model_is_read(folder):
    (folder / "pets.keras").write_text("not a model")
    (folder / "names.txt").write_text("Cat\nDog\nBird\n")
    done = gradcam("photo.png", "-m", "pets.keras", "--labels", "names.txt", "-c", "hamster")
    assert done.exit_code == 2
    assert done.stderr == "Error: no class is called 'hamster'\n"


def test_a_pointer_of_git_lfs_is_called_that(folder, monkeypatch):
    told = "is a Git LFS pointer, not the file itself; run 'git lfs pull' in its repository"
    for name in ("m.keras", "m.h5", "photo.jpg"):
        (folder / name).write_text(POINTER)
    with pytest.raises(ImageError, match=told):
        read_picture("photo.jpg")
    for name in ("m.keras", "m.h5"):
        with pytest.raises(ModelFileError, match=f"^{name}: {told}$"):
            load_classifier(ModelOptions(name))
    done = gradcam("photo.png", "--weights", "m.h5")
    assert done.exit_code == 1
    assert done.stderr == f"Error: m.h5: {told}\n"


def test_a_folder_of_which_a_file_is_a_pointer_is_called_that(folder):
    model = keras.saving.load_model("pets.keras")
    model.export("exported")
    for name in ("variables/variables.data-00000-of-00001", "saved_model.pb"):
        shutil.copytree("exported", "cut", dirs_exist_ok=True)
        (folder / "cut" / name).write_text(POINTER)
        with pytest.raises(ModelFileError, match=f"^cut/{name}: is a Git LFS pointer"):
            load_classifier(ModelOptions("cut"))
