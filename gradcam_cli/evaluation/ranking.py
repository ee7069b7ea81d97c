"""Ranks methods and layers by their metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradcam_cli.evaluation.results import EvaluatedMaps, Evaluation
from gradcam_cli.evaluation.table import ALL_METRICS
from gradcam_cli.models.classifier import Classifier


def best_rows(evaluation: Evaluation, metric: str) -> list[EvaluatedMaps]:
    """Finds the rows with the best mean of a metric, without the baselines."""
    sign = 1 if ALL_METRICS[metric].higher_is_better else -1
    rows = [row for row in evaluation.explained if metric in row.measurements]
    best = max(sign * row.measurements[metric].mean for row in rows)
    return [row for row in rows if sign * row.measurements[metric].mean == best]


# One residual sum after attention and one after the perceptron.
_SUMS_OF_A_BLOCK = 2


def rank_rows(evaluation: Evaluation) -> list[tuple[EvaluatedMaps, float]]:
    """Ranks methods and layers by their mean rank over the faithfulness metrics.

    Returns:
        The rows, best first, each with its mean rank; 1 means best in every metric.
    """
    rows = evaluation.explained
    metrics = [name for name in evaluation.metrics if ALL_METRICS[name].is_faithfulness]
    ranks = np.mean([_ranks(rows, name) for name in metrics], axis=0)
    order = np.argsort(ranks, kind="stable")
    return [(rows[number], float(ranks[number])) for number in order]


def candidate_layers(classifier: Classifier) -> list[str]:
    """Chooses the layers worth comparing: the last one of each output shape.

    Pooling and similar layers are left out, and so are outputs as large as the input. All
    blocks of a transformer have the same shape, so the output of each block is included,
    and the default layer.
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
    # Every block also has a sum in its middle, after attention.
    blocks = sums[::-_SUMS_OF_A_BLOCK][::-1]
    return list(dict.fromkeys([*last.values(), *blocks, *default]))


def _ranks(rows: Sequence[EvaluatedMaps], metric: str) -> np.ndarray:
    from scipy.stats import rankdata

    means = np.array([row.measurements[metric].mean for row in rows])
    return np.asarray(rankdata(-means if ALL_METRICS[metric].higher_is_better else means))
