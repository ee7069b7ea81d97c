"""Regression: the value itself is explained, and told as a number."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from attention_networks import OTHER_METHODS
from PIL import Image
from tasks import make_job

from gradcam_cli import (
    FinerCAM,
    GradCAM,
    GradCAMCallback,
    ReciproCAM,
    ShapleyCAM,
    explain_image,
)
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.errors import GradcamError, UsageError
from gradcam_cli.evaluation.measuring import evaluate_pictures
from gradcam_cli.evaluation.options import EvaluationOptions
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.labels import Prediction, format_value
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.run.ready_job import make_ready
from gradcam_cli.run.records import PictureResult

SIZE = 48
GREY, RED, GREEN = (90, 90, 90), (240, 30, 30), (30, 230, 30)
# Two don't depend on the output, and FullGrad adds absolute values.
WITHOUT_SIGN = {"eigencam", "fem", "fullgrad"}
# (left, top, right, bottom) of the planted squares.
RED_SQUARE, GREEN_SQUARE = (28, 4, 40, 16), (4, 28, 16, 40)


def network(outputs=2, bias=20.0, library=keras):
    """Values that are known: red raises the first, green lowers it and raises the second."""
    inputs = library.Input((SIZE, SIZE, 3))
    x = library.layers.Conv2D(2, 1, activation="relu", name="colours")(inputs)
    x = library.layers.MaxPooling2D(4)(x)
    x = library.layers.Conv2D(2, 1, activation="relu", name="areas")(x)
    x = library.layers.GlobalAveragePooling2D()(x)
    model = library.Model(inputs, library.layers.Dense(outputs, name="values")(x))
    contrast = np.array([[1, -0.5], [-0.5, 1], [-0.5, -0.5]]).reshape(1, 1, 3, 2)
    model.get_layer("colours").set_weights([contrast, np.zeros(2)])
    model.get_layer("areas").set_weights([np.eye(2).reshape(1, 1, 2, 2), np.zeros(2)])
    weights = np.array([[400, 0], [-300, 200]])[:, :outputs]
    model.get_layer("values").set_weights([weights, np.array([bias, -5.0])[:outputs]])
    return model


@pytest.fixture(scope="module")
def picture():
    image = Image.new("RGB", (SIZE, SIZE), GREY)
    image.paste(RED, RED_SQUARE)
    image.paste(GREEN, GREEN_SQUARE)
    return image


@pytest.fixture(scope="module")
def inputs(picture):
    return np.asarray(picture, np.float32)[None]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The networks with two values and with one, compiled with the mean squared error."""
    folder = tmp_path_factory.mktemp("models")
    for outputs, name in (2, "two.keras"), (1, "one.h5"):
        model = network(outputs)
        model.compile(loss="mse")
        model.save(folder / name)
    return folder


def classifier_of(path, **options):
    return load_classifier(ModelOptions(str(path), preprocess="0-1", **options))


@pytest.fixture(scope="module")
def two(files):
    """The classifier of the file with two values."""
    return classifier_of(files / "two.keras")


@pytest.fixture(scope="module")
def expected(inputs):
    """The two values of the picture."""
    return network()(inputs / 255).numpy()


def share_in(heat, square):
    left, top, right, bottom = square
    return heat[top:bottom, left:right].sum() / heat.sum()


def heat_of(maps, side=SIZE):
    return np.kron(maps, np.ones((side // maps.shape[0],) * 2))


@pytest.mark.parametrize("method", sorted({*OTHER_METHODS} - {"finercam"}))
def test_each_method_explains_the_value_itself(two, inputs, expected, method):
    explainer = Explainer(two, "areas" if METHODS[method].needs_layer else None, method)
    explanation = explainer.explain(inputs, np.array([[0, 1]]))
    np.testing.assert_allclose(explanation.probabilities, expected, rtol=1e-4)
    raising, other = (heat_of(maps) for maps in explanation.maps[0])
    if method in WITHOUT_SIGN:
        assert share_in(raising, RED_SQUARE) + share_in(raising, GREEN_SQUARE) > 0.5
        return
    # The masks of RISE are coarser than the squares, which are a sixteenth of the picture.
    least = 0.4 if method == "rise" else 0.6
    assert share_in(raising, RED_SQUARE) > least
    assert share_in(other, GREEN_SQUARE) > least


def test_outputs_keep_their_order(two, inputs):
    """The first is explained, even where another value is larger."""
    green = np.full((1, SIZE, SIZE, 3), GREEN, np.float32)
    explanation = Explainer(two).explain(np.vstack([inputs, green]), [[-1, -2], [-1, -2]])
    assert explanation.probabilities[1, 0] < explanation.probabilities[1, 1]
    assert explanation.targets.tolist() == [[0, 1], [0, 1]]
    ranked = two.labels.most_probable(explanation.probabilities[1], 5)
    assert [entry.index for entry in ranked] == [0, 1]
    assert [entry.name for entry in ranked] == ["output 0", "output 1"]


def test_finercam_has_no_class_to_compare_with(two):
    with pytest.raises(UsageError, match=r"finercam .* a regression has none; choose"):
        Explainer(two, "areas", "finercam")


def test_the_classes_of_python(inputs):
    """An uncompiled linear unit counts as a value where the targets have one column."""
    scaled = inputs / 255
    for options in {}, {"operator": "regression"}:
        model = network(1)
        explainer = GradCAM(model, conv_layer="areas", **options)
        raising = explainer.explain(scaled, [[1]])[0, ..., 0]
        lowering = explainer.explain(scaled, [[-1]])[0, ..., 0]
        assert share_in(raising.numpy(), RED_SQUARE) > 0.6
        assert share_in(lowering.numpy(), GREEN_SQUARE) > 0.6
    # The value is far beyond the range in which a sigmoid changes.
    model = network(1, bias=60.0)
    for kind in ReciproCAM, ShapleyCAM:
        heat = kind(model, conv_layer="areas").explain(scaled, [[1]])[0, ..., 0].numpy()
        assert share_in(heat, RED_SQUARE) > 0.6, kind
    model.compile(loss="mse")
    with pytest.raises(UsageError, match="1 outputs, but the targets have 2"):
        GradCAM(model, conv_layer="areas").explain(scaled, [[0, 1]])
    with pytest.raises(UsageError, match="finercam"):
        FinerCAM(model, conv_layer="areas").explain(scaled, [[1]])


def test_two_columns_of_targets_make_a_linear_unit_a_score(inputs):
    model = network(1)
    scaled = np.repeat(inputs / 255, 2, axis=0)
    second, first = GradCAM(model, conv_layer="areas").explain(scaled, np.eye(2)[::-1])
    assert share_in(second.numpy()[..., 0], RED_SQUARE) > 0.6
    assert share_in(first.numpy()[..., 0], GREEN_SQUARE) > 0.6


def test_explain_image(picture, inputs):
    model = network(1)
    with pytest.warns(UserWarning, match="--task binary"):
        explained = explain_image(picture, model=model, preprocess="0-1")
    value = float(model(inputs / 255)[0, 0])
    assert explained.target.quantity == "value"
    assert explained.target.probability == pytest.approx(value, rel=1e-4)
    assert explained.target.text == format_value(value)
    assert format_value(value) in repr(explained)
    assert share_in(explained.heatmap, RED_SQUARE) > 0.6
    binary = explain_image(picture, 0, model=model, preprocess="0-1", task="binary")
    assert share_in(binary.heatmap, GREEN_SQUARE) > 0.6
    compiled = network(1)
    compiled.compile(loss="huber")
    assert explain_image(picture, model=compiled, preprocess="0-1").target.name == "value"


def test_values_are_written_with_four_digits():
    values = {
        63.2149: "63.21",
        -0.51234: "-0.5123",
        0.0: "0",
        52345.6: "52346",
        1234567.0: "1234567",
        3.2e-7: "3.200e-07",
        4.5e12: "4.500e+12",
        float("nan"): "nan",
        float("-inf"): "-inf",
    }
    assert {value: format_value(value) for value in values} == values


def test_the_command_tells_values(invoke, files, picture, expected, tmp_path):
    picture.save(tmp_path / "a.png")
    (tmp_path / "names.txt").write_text("age\ndose\n")
    model = ["-m", files / "two.keras", "--preprocess", "0-1", "--labels", "names.txt"]
    done = invoke("a.png", *model)
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    value, other = expected[0]
    assert "task regression (compiled with mean_squared_error)" in done.stdout
    age, dose = done.stdout.splitlines()[-2:]
    assert age.split()[:3] == ["age", "0", format_value(value)]
    assert "→" in age
    assert dose.split() == ["dose", "1", format_value(other)]
    assert "%" not in age + dose
    done = invoke(
        *("a.png", *model, "--class", "dose", "--class", "age", "--figure", "--heatmap", "npy"),
        *("--json", "-o", "out", "--report", "out/report.html"),
    )
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert [entry["name"] for entry in record["predictions"]] == ["age", "dose"]
    assert record["predictions"][0]["value"] == pytest.approx(value, rel=1e-4)
    assert "probability" not in record["predictions"][0]
    dose, age = (np.load(tmp_path / target["heatmap"]) for target in record["targets"])
    assert share_in(age, RED_SQUARE) > 0.6
    assert share_in(dose, GREEN_SQUARE) > 0.6
    page = (tmp_path / "out/report.html").read_text()
    assert f'"text":"{format_value(value)}"' in page.replace('": "', '":"')


def test_a_composite_shows_each_output_at_full_strength(files, picture, tmp_path):
    picture.save(tmp_path / "a.png")
    job = make_job(model=f"{files}/two.keras", preprocess="0-1", each=True, out=tmp_path / "out")
    pictures = [InputPicture(tmp_path / "a.png", tmp_path)]
    (result,) = make_ready(job, pictures).explain(pictures)
    assert result.error is None
    assert [target.prediction.index for target in result.targets] == [0, 1]
    composite = np.asarray(Image.open(result.composite)).astype(int)
    red, green = composite[10, 34], composite[34, 10]
    # The first hue is orange, the second blue.
    assert red[0] > red[2] + 60
    assert green[2] > green[0] + 60


def test_what_needs_classes_is_refused(invoke, files, picture, tmp_path):
    picture.save(tmp_path / "a.png")
    pictures = [InputPicture(tmp_path / "a.png", tmp_path)]
    for options, message in [
        ({"classes": ["cat"]}, "no output is called 'cat'"),
        ({"classes": ["1"]}, "the model's only output is 0"),
        ({"methods": ["finercam"]}, "a regression has none"),
    ]:
        job = make_job(model=f"{files}/one.h5", preprocess="0-1", **options)
        with pytest.raises(GradcamError, match=message):
            make_ready(job, pictures)
    done = invoke("a.png", "-m", files / "one.h5", "--truth", "folders")
    assert done.exit_code == 2
    assert "returns values: task regression (compiled with mean_squared_error)" in done.stderr
    assert "--task binary" in done.stderr
    assert done.stderr.count("\n") == 1


def test_evaluation_measures_what_suits_values(invoke, two, files, picture, tmp_path):
    picture.save(tmp_path / "a.png")
    options = EvaluationOptions(("deletion", "insertion"), 0, two.input_for())
    pictures = [InputPicture(tmp_path / "a.png", tmp_path)]
    evaluation = evaluate_pictures(pictures, [Explainer(two, "areas")], options)
    (own,), (random, _) = evaluation.explained, evaluation.baselines
    assert own.measurements["deletion"].mean < random.measurements["deletion"].mean
    assert own.measurements["insertion"].mean > random.measurements["insertion"].mean
    done = invoke("evaluate", "a.png", "-m", files / "two.keras", "--metric", "average_drop")
    assert done.exit_code == 2
    assert "needs probabilities" in done.stderr
    assert "deletion" in done.stderr


def test_the_callback_explains_an_output(inputs, tmp_path):
    model = network(2)
    model.compile(loss="mse")
    scaled = inputs / 255
    for name, targets in ("first", None), ("second", [1]):
        callback = GradCAMCallback(scaled, targets, tmp_path / name, conv_layer="areas")
        callback.set_model(model)
        callback.on_epoch_end(0)
    first, second = (
        np.asarray(Image.open(tmp_path / name / "epoch-001_picture-0.png").resize((SIZE, SIZE)))
        for name in ("first", "second")
    )
    # Jet's highest colour is red: more of it lies on the square that raises the output.
    assert first[10, 34, 0] > first[10, 34, 2]
    assert second[34, 10, 0] > second[34, 10, 2]
    for true_values in [63.5], [[63.5, 2.0]]:
        callback = GradCAMCallback(scaled, true_values, tmp_path / "no", conv_layer="areas")
        callback.set_model(model)
        with pytest.raises(UsageError, match="not its true value"):
            callback.on_epoch_end(0)


def test_the_table_of_a_cluster_has_values(tmp_path):
    """Also beside the rows of an earlier version, which knew probabilities alone."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    from gradcam_cli.cluster import result_table as table

    facts = [ExplainerFacts("gradcam", "ages.keras", "areas", True, False, "", "", "")]
    old, new = InputPicture(Path("old.png"), Path()), InputPicture(Path("new.png"), Path())
    part = tmp_path / "part-00000-0123456789abcdef.parquet"
    earlier = Prediction(3, "cat", None, 0.5)
    table.write_part(part, [PictureResult(old, [earlier])], facts)
    written = parquet.read_table(part)
    rows = written.to_pylist()
    for row in rows:
        for entry in row["predictions"]:
            del entry["value"], entry["share"]
    kept = pa.Table.from_pylist(rows).replace_schema_metadata(written.schema.metadata)
    parquet.write_table(kept, part)
    age = Prediction(0, "value", None, 63.5, "value")
    results = [PictureResult(old, skipped=True), PictureResult(new, [age])]
    table.write_part(part, results, facts)
    found = {row["image"]: row["predictions"][0] for row in parquet.read_table(part).to_pylist()}
    assert found["new.png"]["value"] == 63.5
    assert found["new.png"]["probability"] is None
    assert found["old.png"]["probability"] == 0.5
    assert found["old.png"]["value"] is None
