"""Which methods and layers are best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradcam_cli.evaluation.results import EvaluatedMaps, Evaluation
from gradcam_cli.evaluation.table import ALL_METRICS
from gradcam_cli.models.classifier import Classifier


def best_rows(evaluation: Evaluation, metric: str) -> list[EvaluatedMaps]:
    """Finds the methods with the best mean of a metric, baselines apart."""
    sign = 1 if ALL_METRICS[metric].higher_is_better else -1
    rows = [row for row in evaluation.explained if metric in row.measurements]
    best = max(sign * row.measurements[metric].mean for row in rows)
    return [row for row in rows if sign * row.measurements[metric].mean == best]


# Of attention and of the perceptron after it.
_SUMS_OF_A_BLOCK = 2


def rank_rows(evaluation: Evaluation) -> list[tuple[EvaluatedMaps, float]]:
    """Ranks methods and layers by their mean rank in the metrics of faithfulness.

    Returns:
        The rows, best first, each with its mean rank: 1 for the best in every metric.
    """
    rows = evaluation.explained
    metrics = [name for name in evaluation.metrics if ALL_METRICS[name].is_faithfulness]
    ranks = np.mean([_ranks(rows, name) for name in metrics], axis=0)
    order = np.argsort(ranks, kind="stable")
    return [(rows[number], float(ranks[number])) for number in order]


def candidate_layers(classifier: Classifier) -> list[str]:
    """Chooses the layers that are worth comparing: of each shape of output the last one.

    Pooling and the like, and what is as large as the input, are left out. The blocks of a
    transformer all have one shape: of them it is what each returns, and the default layer.
    """
    last: dict[tuple[int | None, ...], str] = {}
    sums: list[str] = []
    default: list[str] = []
    for layer in classifier.layers():
        shape = layer.output_shape
        if layer.grid is None or layer.node.is_transparent or shape is None:
            continue
        path = layer.node.path
        if layer.grid.are_tokens:
            default += [path] * layer.default
            sums += [path] * layer.is_sum
        elif tuple(shape[:2]) != classifier.input_size:
            last.pop(shape, None)
            last[shape] = path
    # A block has a sum in its middle too, after attention.
    blocks = sums[::-_SUMS_OF_A_BLOCK][::-1]
    return list(dict.fromkeys([*last.values(), *blocks, *default]))


def _ranks(rows: Sequence[EvaluatedMaps], metric: str) -> np.ndarray:
    from scipy.stats import rankdata

    means = np.array([row.measurements[metric].mean for row in rows])
    return np.asarray(rankdata(-means if ALL_METRICS[metric].higher_is_better else means))
