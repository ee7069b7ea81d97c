"""What the figures mean, in plain language, and which layer they speak for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradcam_cli.evaluation.measurement import is_larger
from gradcam_cli.evaluation.measuring import EvaluatedMaps, Evaluation
from gradcam_cli.evaluation.table import ALL_METRICS, METRICS
from gradcam_cli.models.classifier import Classifier

# Even if one is better in each of fewer pictures, chance does that in more than 5 of 100
# cases (the sign test, on both sides).
FEWEST_PICTURES = 6


def verdicts(evaluation: Evaluation) -> list[str]:
    """Says in sentences what each method is worth beside maps that know nothing.

    Better is what is better beyond chance: the 95 % interval of the difference on the same
    pictures lies on one side of 0.

    Returns:
        For each method a sentence or two.
    """
    return [_verdict(row, evaluation.baselines) for row in evaluation.explained]


def best_rows(evaluation: Evaluation, metric: str) -> list[EvaluatedMaps]:
    """Finds the methods with the best mean of a metric, baselines apart."""
    sign = 1 if ALL_METRICS[metric].higher_is_better else -1
    rows = [row for row in evaluation.explained if metric in row.measurements]
    best = max(sign * row.measurements[metric].mean for row in rows)
    return [row for row in rows if sign * row.measurements[metric].mean == best]


def is_beaten(row: EvaluatedMaps, baseline: EvaluatedMaps, metric: str) -> bool:
    """Says whether a row is better than a baseline in a metric, beyond chance."""
    pairs = [
        (values[metric], baseline.values[picture][metric])
        for picture, values in row.values.items()
        if metric in values
    ]
    own, other = np.array(pairs).T
    return is_larger(own, other) if ALL_METRICS[metric].higher_is_better else is_larger(other, own)


def rank_rows(evaluation: Evaluation) -> list[tuple[EvaluatedMaps, float]]:
    """Ranks methods and layers by their mean place in the metrics of faithfulness.

    Returns:
        The rows, best first, each with its mean place: 1 for the best in every metric.
    """
    rows = evaluation.explained
    metrics = [name for name in evaluation.metrics if ALL_METRICS[name].is_faithfulness]
    places = np.mean([_places(rows, name) for name in metrics], axis=0)
    order = np.argsort(places, kind="stable")
    return [(rows[number], float(places[number])) for number in order]


def candidate_layers(classifier: Classifier) -> list[str]:
    """Chooses the layers that are worth comparing: of each shape of output the last one.

    Pooling and the like, and what is as large as the input, are left out.
    """
    last: dict[tuple[int | None, ...], str] = {}
    for layer in classifier.layers():
        shape = layer.output_shape
        if not layer.usable or layer.node.is_transparent or shape is None:
            continue
        if tuple(shape[:2]) != classifier.input_size:
            last.pop(shape, None)
            last[shape] = layer.node.path
    return list(last.values())


def _places(rows: Sequence[EvaluatedMaps], metric: str) -> np.ndarray:
    from scipy.stats import rankdata

    means = np.array([row.measurements[metric].mean for row in rows])
    return np.asarray(rankdata(-means if ALL_METRICS[metric].higher_is_better else means))


def _verdict(row: EvaluatedMaps, baselines: Sequence[EvaluatedMaps]) -> str:
    asked = [name for name in METRICS if METRICS[name].is_faithfulness]
    asked = [name for name in asked if name in row.measurements]
    if not asked:
        return f"{row.name}: nothing that was measured tells what the network used."
    sentences = []
    if "average_drop" in asked:
        kept, margin = _kept(row)
        own = f"{row.name} keeps {kept:.0f} % of the confidence ± {margin:.0f}"
        others = [f"a {baseline.title} keeps {_kept(baseline)[0]:.0f} %" for baseline in baselines]
        sentences.append("; ".join([own, *others]) + ".")
    number = len(row.values)
    if baselines and number < FEWEST_PICTURES:
        names = " or ".join(f"the {baseline.title}" for baseline in baselines)
        sentences.append(
            f"{number} picture{'s are' if number > 1 else ' is'} too few to say whether "
            f"{'it' if sentences else row.name} beats {names}."
        )
        return " ".join(sentences)
    for baseline in baselines:
        subject = "It" if sentences else row.name
        lost = [METRICS[name].title for name in asked if not is_beaten(row, baseline, name)]
        if not lost:
            sentences.append(f"{subject} beats the {baseline.title} in every figure.")
        elif len(lost) == len(asked):
            sentences.append(f"{subject} does not beat the {baseline.title} in any figure.")
        else:
            sentences.append(
                f"{subject} beats the {baseline.title} in {len(asked) - len(lost)} of "
                f"{len(asked)} figures, not in {', '.join(lost)}."
            )
    return " ".join(sentences)


def _kept(row: EvaluatedMaps) -> tuple[float, float]:
    drop = row.measurements["average_drop"]
    return 100 * (1 - drop.mean), 100 * drop.margin
