"""KerasHub's detectors with random weights: boxes as KerasHub decodes them, and finite maps."""

import keras
import numpy as np
import pytest

from gradcam_cli.cam.detection import BoxFinder, explain_boxes
from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.boxes import find_detections
from tests.detectors import BLUE, RED, draw_squares

SIDE = 128


@pytest.fixture(scope="module")
def retinanet(tmp_path_factory):
    hub = pytest.importorskip("keras_hub")
    keras.utils.set_random_seed(3)
    encoder = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64, 64, 64],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(SIDE, SIDE, 3),
    )
    backbone = hub.models.RetinaNetBackbone(
        encoder, min_level=3, max_level=5, use_p5=False, image_shape=(SIDE, SIDE, 3)
    )
    converter = hub.layers.RetinaNetImageConverter(
        image_size=(SIDE, SIDE),
        scale=1 / 255,
        crop_to_aspect_ratio=False,
        pad_to_aspect_ratio=True,
    )
    model = hub.models.RetinaNetObjectDetector(
        backbone,
        num_classes=4,
        bounding_box_format="xyxy",
        preprocessor=hub.models.RetinaNetObjectDetectorPreprocessor(image_converter=converter),
        pre_logits_num_conv_layers=1,
    )
    # Boxes near their anchors, instead of far outside the picture.
    for weight in model.box_head.weights:
        weight.assign(weight * 0)
    path = tmp_path_factory.mktemp("hub") / "retinanet.keras"
    model.save(path)
    return model, path


def test_retinanet_is_read_as_kerashub_does_and_explained(retinanet):
    model, path = retinanet
    classifier = load_classifier(ModelOptions(model=str(path)))
    assert (classifier.task, classifier.default_fit, len(classifier.labels)) == (
        "detection",
        "pad",
        4,
    )
    picture = draw_squares([(8, 8, 20, RED), (50, 40, 40, BLUE)])
    prepared = classifier.input_for().prepare(picture)
    boxes, probabilities = BoxFinder(classifier).find(prepared.inputs[None])
    inputs = prepared.inputs[None].astype(np.float32) / 255
    model.prediction_decoder.confidence_threshold = 0.0
    decoded = model.decode_predictions(model(inputs, training=False), inputs)
    for box, score in zip(
        np.array(decoded["boxes"])[0, :5], np.array(decoded["confidence"])[0, :5], strict=True
    ):
        near = np.abs(boxes[0] - box).max(axis=1) < 1e-2
        assert near.any()
        assert np.abs(probabilities[0][near].max(axis=1) - score).min() < 1e-3
    objects = find_detections(boxes[0], probabilities[0], prepared.fit, min_score=0, most=2)
    explainer = Explainer(classifier.folded(), method="layercam")
    levels = {f"retina_net_backbone/fpn/output_conv_P{level}" for level in (3, 4, 5)}
    assert set(explainer.layers) == levels
    explanation = explain_boxes(explainer, prepared.inputs, objects)
    assert explanation.maps.shape == (1, 2, SIDE, SIDE)
    assert np.isfinite(explanation.maps).all()
