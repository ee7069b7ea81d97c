"""Converts an audit to a JSON object, and to the rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradcam_cli.analysis.audit_results import Audit, Fraction, MeanMap
from gradcam_cli.analysis.heat_places import border_fraction, corner_fraction
from gradcam_cli.analysis.observation import Observation

# Of the errors and of the right predictions, the table has all.
_MOST_LISTED = 20
# The columns of the table and the types of their cells.
COLUMNS: dict[str, type] = {
    "picture": str,
    "width": int,
    "height": int,
    "truth": str,
    "truth_index": int,
    "predicted": str,
    "predicted_index": int,
    "probability": float,
    "truth_probability": float,
    "right": bool,
    "border": float,
    "corners": float,
    "on_object": float,
    "group": int,
    "duplicate_set": int,
    "error": str,
}


def picture_rows(audit: Audit) -> list[dict[str, Any]]:
    """Makes a row for each picture, with the keys of `COLUMNS`; None for what isn't known.

    Groups and sets of duplicates are numbered from 1, in the order of the audit. The pictures that
    couldn't be explained come last.
    """
    groups = _numbers([group.pictures for group in audit.groups])
    duplicates = _numbers([found.pictures for found in audit.duplicates])
    rows = [
        _row(one, groups.get(number), duplicates.get(number))
        for number, one in enumerate(audit.observations)
    ]
    unknown = dict.fromkeys(COLUMNS)
    rows += [
        unknown | {"picture": path, "error": error.message}
        for path, error in zip(audit.failed, audit.errors, strict=True)
    ]
    return rows


def _row(one: Observation, group: int | None, duplicates: int | None) -> dict[str, Any]:
    truth = one.truth
    return {
        "picture": one.path,
        "width": one.size[0],
        "height": one.size[1],
        "truth": None if truth is None else truth.name,
        "truth_index": None if truth is None else truth.index,
        "predicted": one.predicted.name,
        "predicted_index": one.predicted.index,
        "probability": one.predicted.rounded,
        "truth_probability": None if truth is None else truth.rounded,
        "right": one.is_right,
        "border": _round(border_fraction(one.predicted_map)),
        "corners": _round(corner_fraction(one.predicted_map)),
        "on_object": _round(one.on_object),
        "group": group,
        "duplicate_set": duplicates,
        "error": None,
    }


def audit_record(audit: Audit) -> dict[str, Any]:
    """Makes the JSON object of an audit, without maps."""
    paths = [one.path for one in audit.observations]

    def named(numbers: Sequence[int]) -> list[str]:
        return [paths[number] for number in numbers]

    explainer, calibration = audit.explainer, audit.calibration
    return {
        "model": explainer.model,
        "layer": explainer.layer or None,
        "method": explainer.method,
        "preprocessing": explainer.preprocessing,
        "pictures": len(paths),
        "findings": [
            {
                "kind": finding.kind,
                "sentence": finding.sentence,
                "weight": _round(finding.weight),
                "pictures": named(finding.pictures),
            }
            for finding in audit.findings
        ],
        "notes": list(audit.notes),
        "accuracy": None if audit.accuracy is None else _fraction(audit.accuracy),
        "calibration": None
        if calibration is None
        else {
            "expected_error": _round(calibration.error),
            "low": _round(calibration.interval[0]),
            "high": _round(calibration.interval[1]),
            "bins": [
                {
                    "from": _round(one.low),
                    "to": _round(one.high),
                    "pictures": one.count,
                    "confidence": _round(one.confidence),
                    "accuracy": _round(one.accuracy),
                }
                for one in calibration.bins
            ],
        },
        "confusion": [
            {
                "truth": audit.classes[truth],
                "truth_index": truth,
                "predicted": audit.classes[predicted],
                "predicted_index": predicted,
                "pictures": named(numbers),
            }
            for (truth, predicted), numbers in sorted(audit.confusion.items())
        ],
        "confident_errors": [
            _listed(audit.observations[number]) for number in audit.confident_errors[:_MOST_LISTED]
        ],
        "unsure": [_listed(audit.observations[number]) for number in audit.unsure[:_MOST_LISTED]],
        "mean_maps": [_mean_map(one) for one in audit.mean_maps],
        "groups": [
            {
                "class": group.name,
                "class_index": group.class_index,
                "suspicion": group.suspicion or None,
                "strength": _round(group.strength),
                "pictures": named(group.pictures),
            }
            for group in audit.groups
        ],
        "duplicates": [
            {"classes": list(found.classes), "pictures": named(found.pictures)}
            for found in audit.duplicates
        ],
        "empty_classes": list(audit.empty_classes),
        "errors": [
            {"picture": path, "error": error.message}
            for path, error in zip(audit.failed, audit.errors, strict=True)
        ],
    }


def _fraction(fraction: Fraction) -> dict[str, Any]:
    low, high = fraction.interval
    return {
        "value": _round(fraction.value),
        "low": _round(low),
        "high": _round(high),
        "right": fraction.count,
        "known": fraction.total,
    }


def _mean_map(mean: MeanMap) -> dict[str, Any]:
    return {
        "class": None if mean.class_index is None else mean.name,
        "class_index": mean.class_index,
        "pictures": mean.count,
        "border": _round(mean.border),
        "corners": _round(mean.corners),
        "on_object": _round(mean.on_object),
    }


def _listed(one: Observation) -> dict[str, Any]:
    assert one.truth is not None
    return {
        "picture": one.path,
        "truth": one.truth.name,
        "predicted": one.predicted.name,
        "probability": one.predicted.rounded,
    }


def _numbers(sets: Sequence[Sequence[int]]) -> dict[int, int]:
    """Returns for each picture the number of the set to which it belongs."""
    return {picture: number for number, one in enumerate(sets, 1) for picture in one}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
