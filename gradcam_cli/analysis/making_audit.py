"""Turns what a network said of many pictures into an audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gradcam_cli.analysis.accuracy import confuse, measure_accuracy, rank_errors, rank_right
from gradcam_cli.analysis.audit_results import Audit, Calibration, MapGroup
from gradcam_cli.analysis.calibration import calibrate
from gradcam_cli.analysis.duplicates import find_duplicates
from gradcam_cli.analysis.findings import make_findings
from gradcam_cli.analysis.groups import find_groups
from gradcam_cli.analysis.mean_maps import average_maps
from gradcam_cli.analysis.observation import Observation
from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.errors import GradcamError, UsageError

# The error of so few pictures would be mostly chance.
_FEWEST_CALIBRATED = 20
_NO_TRUTH = (
    "no true classes are known, so accuracy, confusions and calibration are missing; name the "
    "classes with --truth folders or --truth FILE.csv"
)
_SEVERAL_CLASSES = (
    "the network may find several classes in a picture, but one true class is known of each: a "
    "prediction counts as right if the most probable class is the true one, and calibration isn't "
    "measured"
)


def make_audit(
    observations: Sequence[Observation],
    failed: Sequence[tuple[str, GradcamError]],
    explainer: ExplainerFacts,
    classes: Sequence[str],
    *,
    has_several: bool = False,
    notes: Sequence[str] = (),
) -> Audit:
    """Examines the observations of all pictures.

    Args:
        observations: The observations in the order of the pictures, at least one.
        failed: The pictures that couldn't be explained, and why.
        explainer: The model, the method and the layer.
        classes: The names of the model's classes.
        has_several: Whether a picture can belong to several classes at once.
        notes: What couldn't be examined for reasons that the observations don't show.
    """
    notes = list(notes)
    accuracy = measure_accuracy(observations)
    if accuracy is None:
        notes.insert(0, _NO_TRUTH)
    elif has_several:
        notes.append(_SEVERAL_CLASSES)
    calibration = None
    if accuracy is not None and not has_several:
        calibration = _calibrate(observations, notes)
    blank = sum(not one.predicted_map.any() for one in observations)
    if blank:
        notes.append(
            f"the maps of {blank} of {len(observations)} pictures show nothing, and don't count "
            f"where heat is measured"
        )
    groups: Sequence[MapGroup] = ()
    try:
        groups = find_groups(observations)
    except UsageError as error:
        notes.append(error.message)
    audit = Audit(
        explainer=explainer,
        observations=observations,
        errors=[error for _, error in failed],
        failed=[path for path, _ in failed],
        classes=classes,
        accuracy=accuracy,
        confusion=confuse(observations),
        calibration=calibration,
        confident_errors=rank_errors(observations),
        unsure=rank_right(observations),
        mean_maps=average_maps(observations),
        groups=groups,
        duplicates=find_duplicates(observations),
        empty_classes=[] if accuracy is None else _empty_classes(observations, classes),
        findings=(),
        notes=notes,
    )
    return replace(audit, findings=make_findings(audit))


def _calibrate(observations: Sequence[Observation], notes: list[str]) -> Calibration | None:
    known = [one for one in observations if one.is_right is not None]
    if len(known) < _FEWEST_CALIBRATED:
        notes.append(
            f"the calibration isn't measured: it needs {_FEWEST_CALIBRATED} pictures whose true "
            f"class is known, and there {'is' if len(known) == 1 else 'are'} {len(known)}"
        )
        return None
    return calibrate(
        np.array([one.predicted.probability for one in known]),
        np.array([bool(one.is_right) for one in known]),
    )


def _empty_classes(observations: Sequence[Observation], classes: Sequence[str]) -> list[str]:
    present = {one.truth.index for one in observations if one.truth is not None}
    return [name for index, name in enumerate(classes) if index not in present]
