import numpy as np
import tensorflow as tf

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.networks.gradient_overrides import overridden_gradients


@tf.RegisterGradient("TestThrice")
def thrice(op, gradient):
    return 3 * gradient


def test_only_what_is_made_inside_has_another_gradient():
    @tf.function(autograph=False)
    def gradients(x):
        before = tf.nn.relu(x)
        with overridden_gradients(x.graph, {"Relu": "TestThrice"}):
            inside = tf.nn.relu(x)
        after = tf.nn.relu(x)
        return [tf.gradients(y, x)[0] for y in (before, inside, after)]

    before, inside, after = gradients(tf.constant([-1.0, 2.0]))
    np.testing.assert_array_equal(inside, [3, 3])
    np.testing.assert_array_equal(before, [0, 1])
    np.testing.assert_array_equal(after, [0, 1])


def test_a_saved_model_is_guided_as_its_model(small_model, tmp_path, classify):
    model = small_model()
    # With weights of both signs there is much that guidance stops.
    draw = np.random.default_rng(6)
    model.set_weights([draw.normal(0, 1, weight.shape) for weight in model.get_weights()])
    model.export(tmp_path / "exported")
    pictures = draw.uniform(0, 1, (2, 16, 16, 3)).astype(np.float32)
    expected, found = (
        Explainer(classifier, "last", "guidedgradcam").explain(pictures, [[0, 1]] * 2).maps
        for classifier in (
            classify(model),
            load_classifier(ModelOptions(str(tmp_path / "exported"), preprocess="none")),
        )
    )
    assert expected.any()
    np.testing.assert_allclose(found, expected, atol=1e-4)
