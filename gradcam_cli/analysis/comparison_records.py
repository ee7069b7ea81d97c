"""A comparison as records for programs: JSON, and a row for each picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradcam_cli.analysis.audit_results import Fraction
from gradcam_cli.analysis.comparison import ComparedPicture, Comparison, ValueAgreement
from gradcam_cli.analysis.comparison_verdict import describe_comparison
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.models.labels import Prediction

_DECIMALS = 6
HEADING = (
    *("picture", "truth", "first", "first_index", "first_probability", "first_right"),
    *("second", "second_index", "second_probability", "second_right", "same_prediction"),
    *("explained", "first_explained", "second_explained", "rank_correlation", "overlap", "note"),
    "error",
)


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """Converts a comparison to one object of JSON, without the rows of its pictures."""
    accuracies, mcnemar = comparison.accuracies, comparison.mcnemar
    record: dict[str, Any] = {
        "compared": comparison.kind,
        "first": _side_record(comparison, 0),
        "second": _side_record(comparison, 1),
        "pictures": len(comparison.pictures),
    }
    if accuracies is not None:
        for side, accuracy in zip(("first", "second"), accuracies, strict=True):
            record[side]["accuracy"] = _fraction_record(accuracy)
        record["right"] = {
            "both": _paths(comparison, comparison.both_right),
            "only_first": _paths(comparison, comparison.only_first),
            "only_second": _paths(comparison, comparison.only_second),
            "neither": _paths(comparison, comparison.neither_right),
        }
    if mcnemar is not None:
        record["mcnemar"] = {
            "only_first": mcnemar.only_first,
            "only_second": mcnemar.only_second,
            "p": _number(mcnemar.p),
        }
    if comparison.same_predictions is not None:
        record["same_predictions"] = _fraction_record(comparison.same_predictions)
    if comparison.values is not None:
        record["values"] = _values_record(comparison.values)
    record["maps"] = {
        "of": comparison.compared_class,
        "rank_correlation": _measurement_record(comparison.correlation),
        "overlap": _measurement_record(comparison.overlap),
        "most_different": _paths(comparison, comparison.most_different[:100]),
    }
    record["verdict"] = describe_comparison(comparison)
    record["notes"] = list(comparison.notes)
    record["errors"] = [
        {"picture": path, "error": error.message} for path, error in comparison.errors.items()
    ]
    return record


def picture_rows(comparison: Comparison) -> list[list[Any]]:
    """Converts the pictures to rows below `HEADING`, those that failed last."""
    empty = [None] * (len(HEADING) - 2)
    failed = [[path, *empty, error.message] for path, error in comparison.errors.items()]
    return [*(_row(picture) for picture in comparison.pictures), *failed]


def _row(picture: ComparedPicture) -> list[Any]:
    right = picture.right or (None, None)
    both: list[Any] = []
    for predicted, is_right in zip(picture.predicted, right, strict=True):
        both += [predicted.name, predicted.index, _probability(predicted), _word(is_right)]
    explained, other = picture.explained
    return [
        picture.path,
        picture.truth,
        *both,
        None if explained.is_value else _word(picture.same_prediction),
        explained.name,
        _probability(explained),
        None if other is None else _probability(other),
        _number(picture.correlation),
        _number(picture.overlap),
        picture.note or None,
        None,
    ]


def _side_record(comparison: Comparison, number: int) -> dict[str, Any]:
    side = comparison.sides[number]
    facts = side.explainer
    return {
        "name": side.name,
        "model": facts.model,
        "method": facts.method,
        "method_title": METHODS[facts.method].title,
        "layer": facts.layer or None,
    }


def _fraction_record(fraction: Fraction) -> dict[str, Any]:
    low, high = fraction.interval
    return {
        "count": fraction.count,
        "total": fraction.total,
        "value": _number(fraction.value),
        "low": _number(low),
        "high": _number(high),
    }


def _measurement_record(measurement: Measurement | None) -> dict[str, Any] | None:
    if measurement is None:
        return None
    low, high = measurement.interval
    return {
        "pictures": len(measurement.values),
        "mean": _number(measurement.mean),
        "low": _number(low),
        "high": _number(high),
    }


def _values_record(values: ValueAgreement) -> dict[str, Any]:
    return {
        "output": values.output,
        "difference": _measurement_record(values.difference),
        "correlation": _number(values.correlation),
    }


def _paths(comparison: Comparison, numbers: Sequence[int]) -> list[str]:
    return [comparison.pictures[number].path for number in numbers]


def _probability(prediction: Prediction) -> float | None:
    return prediction.rounded if math.isfinite(prediction.probability) else None


def _number(value: float | None) -> float | None:
    """Rounds a number; JSON has no infinite ones."""
    return None if value is None or not math.isfinite(value) else round(value, _DECIMALS)


def _word(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()
