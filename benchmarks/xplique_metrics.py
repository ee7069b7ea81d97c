"""Shows that our metrics are Xplique's: the same model, inputs, targets and maps.

    pip install -e ".[bench]" && pip install --no-deps "xplique>=2.0.2,<3"
    python benchmarks/xplique_metrics.py

MuFidelity and Average Stability get the same random sets and the same noise. Exits with 1
if any figure differs by 1e-5 or more of its size; Xplique adds 1e-8 to each probability in
the entropy, which makes a difference of 5e-4, and Complexity is allowed 1e-4 of its size.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from xplique.metrics import complexity, fidelity, stability

import gradcam_cli
from gradcam_cli import evaluation
from gradcam_cli.evaluation.faithfulness import draw_subsets

PICTURES = sorted((Path(__file__).parent.parent / "sample_images").glob("*.jpg"))[:4]
SIDE = 224
RADIUS = 25.5
NEIGHBOURS = 20
TOLERANCE = {"Complexity": 1e-4}


class SameSubsets(fidelity.MuFidelity):
    """Xplique's MuFidelity with our random sets."""

    subsets = draw_subsets((SIDE, SIDE))

    def _perturb_samples(self, inputs, nb_perturbations):
        kept = tf.constant(1 - self.subsets.astype(np.float32))[None, ..., None]
        kept = tf.repeat(kept, len(inputs), 0)
        changed = tf.repeat(inputs[:, None], nb_perturbations, 1) * kept
        return tf.reshape(changed, (-1, *inputs.shape[1:])), kept


def main() -> int:
    model = gradcam_cli.load_model()
    inputs = np.stack([read(path) for path in PICTURES])
    targets = model.predict(inputs, verbose=0).argmax(axis=1)
    one_hot = np.eye(1000, dtype=np.float32)[targets]
    explainer = gradcam_cli.GradCAM(model)
    maps = explainer(inputs, one_hot).numpy()[..., 0]
    # The same heat in several pixels is put in order in another way.
    maps += np.random.default_rng(0).random(maps.shape, np.float32) * 1e-3

    def explain(inputs, targets):
        return explainer(np.asarray(inputs), np.asarray(targets)).numpy()[..., 0]

    same_noise = stability.AverageStability(model, inputs, one_hot, radius=RADIUS)
    noise = np.random.default_rng(0).uniform(0, RADIUS, (NEIGHBOURS, SIDE, SIDE, 3))
    same_noise.noisy_masks = noise.astype(np.float32)
    explained = explain(inputs, one_hot)
    theirs_of = (model, inputs, one_hot)
    ours_of = (model, inputs, targets, maps)
    figures = {
        "Average Drop": (
            fidelity.AverageDropMetric(*theirs_of).evaluate(maps),
            evaluation.average_drop(*ours_of),
        ),
        "Increase in Confidence": (
            fidelity.AverageIncreaseMetric(*theirs_of).evaluate(maps),
            evaluation.increase_in_confidence(*ours_of),
        ),
        "Average Gain": (
            fidelity.AverageGainMetric(*theirs_of).evaluate(maps),
            evaluation.average_gain(*ours_of),
        ),
        "Deletion": (
            fidelity.Deletion(*theirs_of).evaluate(maps),
            evaluation.deletion(*ours_of),
        ),
        "Insertion": (
            fidelity.Insertion(*theirs_of).evaluate(maps),
            evaluation.insertion(*ours_of),
        ),
        "MuFidelity": (
            SameSubsets(*theirs_of, batch_size=200).evaluate(maps),
            evaluation.mu_fidelity(*ours_of),
        ),
        "Stability": (
            same_noise.evaluate(explain, explained),
            evaluation.average_stability(
                lambda inputs, targets: explain(inputs, np.eye(1000, dtype=np.float32)[targets]),
                inputs,
                targets,
                explained,
                radius=RADIUS,
            ),
        ),
        "Sparseness": (complexity.Sparseness().evaluate(maps), evaluation.sparseness(maps)),
        "Complexity": (complexity.Complexity().evaluate(maps), evaluation.complexity(maps)),
    }
    failed = False
    for name, (theirs, values) in figures.items():
        ours = values.mean()
        difference = abs(ours - theirs) / max(abs(theirs), 1e-3)
        failed |= bool(difference >= TOLERANCE.get(name, 1e-5))
        print(f"{name:24} Xplique {theirs:10.6f}  gradcam {ours:10.6f}  {difference:.0e}")
    return int(failed)


def read(path):
    return np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE)), np.float32)


if __name__ == "__main__":
    sys.exit(main())
