"""gradcam: what its command runs."""

import numpy as np

from benchmarks.peers import Explain
from gradcam_cli.cam.facts import TOP_CLASS
from gradcam_cli.runtime.tensorflow_import import import_tensorflow


def load() -> Explain:
    # Before TensorFlow is imported: it chooses how TensorFlow runs.
    import_tensorflow()

    from gradcam_cli.cam.explainer import Explainer
    from gradcam_cli.models.loading import load_classifier

    explainer = Explainer(load_classifier().folded())

    def explain(inputs):
        return explainer.explain(inputs, np.full((len(inputs), 1), TOP_CLASS)).maps[:, 0]

    return explain
