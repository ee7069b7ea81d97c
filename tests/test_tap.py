import keras
import pytest
import tf_keras
from keras import layers

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.errors import UnknownLayerError, UnusableLayerError
from gradcam_cli.models.loading import load_architecture
from gradcam_cli.models.options import ModelOptions


@pytest.fixture(scope="module")
def classifier(small_model, classify):
    return classify(small_model())


def test_default_is_the_last_layer_with_a_spatial_output(classifier, explainer):
    assert Explainer(classifier).layer == "last"
    assert explainer.layer == "top_activation"


def test_default_of_vgg_is_its_last_convolution():
    # As in the paper; the pooling after it shows the same, coarser.
    with keras.StatelessScope(initialize_variables=False):
        vgg16 = load_architecture(ModelOptions("vgg16"))
    assert [info.node.path for info in vgg16.layers() if info.default] == ["block5_conv3"]


@pytest.mark.parametrize(
    "after",
    [
        [layers.MaxPooling2D],
        [lambda: layers.Dropout(0.2)],
        [lambda: layers.SpatialDropout2D(0.2)],
        [lambda: layers.ZeroPadding2D(1), lambda: layers.AveragePooling2D(2)],
        [layers.Identity],
    ],
)
def test_pooling_padding_and_dropout_are_passed_over(classify, after):
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, name="wanted")(inputs)
    for make in after:
        x = make()(x)
    outputs = layers.Dense(3)(layers.Flatten()(x))
    assert Explainer(classify(keras.Model(inputs, outputs))).layer == "wanted"


@pytest.mark.parametrize(
    ("layer", "path"),
    [("first", "first"), ("last", "last"), (1, "first"), (-3, "last"), (3, "last")],
)
def test_a_layer_goes_by_name_and_index(classifier, layer, path):
    assert Explainer(classifier, layer).layer == path


def test_a_wrong_name_gets_close_ones(classifier, builtin):
    with pytest.raises(UnknownLayerError, match="did you mean first"):
        Explainer(classifier, "frist")
    with pytest.raises(UnknownLayerError, match=r"'top_activatio'.*top_activation"):
        Explainer(builtin, "top_activatio")
    with pytest.raises(UnknownLayerError, match="gradcam layers"):
        Explainer(classifier, "zzzz")


@pytest.mark.parametrize("index", [6, -7, 10**9])
def test_a_wrong_index_gets_the_range(classifier, index):
    with pytest.raises(UnknownLayerError, match="from -6 to 5"):
        Explainer(classifier, index)


@pytest.mark.parametrize("layer", ["gap", "scores", -1])
def test_a_layer_without_places_is_refused(classifier, layer):
    with pytest.raises(UnusableLayerError, match="no spatial output"):
        Explainer(classifier, layer)


def test_a_pooled_map_of_one_cell_is_refused(classify):
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, name="wanted")(inputs)
    x = layers.GlobalAveragePooling2D(keepdims=True, name="pooled")(x)
    x = layers.Conv2D(3, 1, name="scores")(x)
    classifier = classify(keras.Model(inputs, layers.Softmax()(layers.Flatten()(x))))
    assert Explainer(classifier).layer == "wanted"
    for layer in ("pooled", "scores"):
        with pytest.raises(UnusableLayerError, match="no spatial output"):
            Explainer(classifier, layer)


def test_any_size_networks_also_refuse_layers_without_places(classify):
    # The squeeze of squeeze-and-excitation: rows and columns are known to be one.
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, name="wanted")(inputs)
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    x = layers.Multiply(name="excite")([x, squeezed])
    outputs = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    classifier = classify(keras.Model(inputs, outputs), any_size=True)
    assert Explainer(classifier).layer == "excite"
    with pytest.raises(UnusableLayerError, match="no spatial output"):
        Explainer(classifier, "squeeze")


def test_a_layer_that_the_score_does_not_depend_on_is_refused(classify):
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, name="used")(inputs)
    unused = layers.Conv2D(4, 3, name="unused")(inputs)
    stopped = layers.Lambda(keras.ops.stop_gradient, name="stopped")(
        layers.Conv2D(4, 3, name="before")(inputs)
    )
    x = layers.Add()([x, stopped, layers.Lambda(lambda t: t * 0, name="zero")(unused)])
    outputs = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    classifier = classify(keras.Model(inputs, outputs))
    with pytest.raises(UnusableLayerError, match="layer before"):
        Explainer(classifier, "before")
    assert Explainer(classifier, "used").layer == "used"


def test_the_input_layer_is_refused_with_a_reason(classifier):
    with pytest.raises(UnusableLayerError, match="picture"):
        Explainer(classifier, "picture")


def test_a_network_without_places_is_refused(classify):
    inputs = keras.Input((4, 4, 3))
    outputs = layers.Dense(3)(layers.Flatten()(inputs))
    with pytest.raises(UnusableLayerError, match="no layer with a spatial output"):
        Explainer(classify(keras.Model(inputs, outputs)))


def test_lists_every_layer_with_what_can_be_explained(classifier):
    infos = {info.node.path: info for info in classifier.layers()}
    assert list(infos) == ["picture", "first", "pool", "last", "gap", "scores"]
    assert [info.node.index for info in infos.values()] == list(range(6))
    assert {path for path, info in infos.items() if info.usable} >= {"first", "pool", "last"}
    assert not infos["gap"].usable
    assert not infos["scores"].usable
    assert [path for path, info in infos.items() if info.default] == ["last"]
    assert infos["first"].output_shape == (16, 16, 4)
    assert infos["last"].output_shape == (8, 8, 5)
    assert infos["scores"].output_shape == (3,)
    assert infos["first"].node.parameters == 3 * 3 * 3 * 4 + 4
    assert infos["first"].node.kind == "Conv2D"
    for path, info in infos.items():
        if info.usable:
            assert Explainer(classifier, path).layer == path
        else:
            with pytest.raises(UnusableLayerError):
                Explainer(classifier, path)


def test_what_keeps_later_layers_from_being_explained_is_said(classify):
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, padding="same", name="before")(inputs)
    x = layers.Lambda(lambda t: keras.ops.sort(t, axis=1), name="sorted")(x)
    x = layers.Conv2D(4, 3, padding="same", name="after")(x)
    outputs = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    classifier = classify(keras.Model(inputs, outputs))
    explainer = Explainer(classifier)
    assert explainer.layer == "before"
    assert "later positions are lost in the operation" in explainer.facts.reason
    with pytest.raises(
        UnusableLayerError, match="the nearest layer that can be explained is before"
    ):
        Explainer(classifier, "after")


def test_projections_of_attention_come_after_the_normalization_before_them(classify):
    """Attention as it stands in a functional model, without a layer of its own."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Reshape((16, 8))(layers.Conv2D(8, 4, strides=4)(inputs))
    x = layers.Concatenate(axis=1)([layers.Dense(8)(keras.ops.mean(x, 1, keepdims=True)), x])
    normal = layers.LayerNormalization(name="normal")(x)
    query, key, value = (layers.Dense(8, name=name)(normal) for name in ("query", "key", "value"))
    weights = keras.ops.softmax(keras.ops.matmul(query, keras.ops.transpose(key, (0, 2, 1))))
    x = layers.Add(name="sum")([x, keras.ops.matmul(weights, value)])
    x = layers.LayerNormalization(name="last")(x)
    classifier = classify(keras.Model(inputs, layers.Dense(3)(x[:, 0])))
    assert Explainer(classifier).layer == "normal"
    assert Explainer(classifier, "value").facts.cells == "4×4 tokens + 1, 4 px apart"
    with pytest.raises(UnusableLayerError, match="the patches of layer query"):
        Explainer(classifier, "query")


def test_slices_in_keras_2_are_passed_over(classify):
    inputs = tf_keras.Input((16, 16, 3))
    x = tf_keras.layers.Reshape((16, 8))(tf_keras.layers.Conv2D(8, 4, strides=4)(inputs))
    x = tf_keras.layers.Dense(8, activation="relu", name="wanted")(x)
    outputs = tf_keras.layers.Dense(3)(tf_keras.layers.GlobalAveragePooling1D()(x[:, 2:]))
    classifier = classify(tf_keras.Model(inputs, outputs))
    assert Explainer(classifier).layer == "wanted"
