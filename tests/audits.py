"""Small audits whose numbers are made up, for the tests of their page."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from gradcam_cli.analysis.audit_results import (
    Audit,
    Calibration,
    CalibrationBin,
    Fraction,
    MapGroup,
    MeanMap,
)
from gradcam_cli.analysis.observation import GRID, Observation
from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.labels import Prediction
from gradcam_cli.pictures.fitting import fit_picture
from gradcam_cli.rendering.report import ReportMap, ReportPicture, make_preview
from gradcam_cli.run.records import PictureResult

FACTS = ExplainerFacts("gradcam", "net", "conv", True, False, "", "", "")


def blob(row, column, cells=7, signed=False):
    """Makes a map with one warm place, and if it is signed a cold one opposite."""
    rows, columns = np.indices((cells, cells)) / (cells - 1)
    heat = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 0.08)
    if signed:
        heat -= 0.8 * np.exp(-((rows - 1 + row) ** 2 + (columns - 1 + column) ** 2) / 0.08)
    return (heat / abs(heat).max()).astype(np.float32)


def explained(path, predicted, truth=None, confidence=0.9, preview=None, signed=False, seed=0):
    """Makes the result of a picture: classes are pairs of an index and a name."""
    rng = np.random.default_rng(seed)
    preview = preview or make_preview(Image.new("RGB", (96, 64), (120, 90, 60)))
    fit = fit_picture(preview.size, "keep", (224, 224), 32)
    top = Prediction(*predicted, None, confidence)
    true = truth and Prediction(*truth, None, confidence if truth == predicted else 0.05)
    others = [] if truth in (None, predicted) else [true]
    maps = [
        ReportMap(
            target,
            "Grad-CAM",
            (),
            blob(*rng.random(2), signed=signed),
            fit.place((7, 7), (32.0, 32.0)),
        )
        for target in (top, *others)
    ]
    predictions = [top, *others]
    card = ReportPicture(str(path), preview, predictions, maps)
    grid = {target.index: blob(*rng.random(2), GRID) for target in predictions}
    picture = np.full((GRID, GRID, 3), 120, np.uint8)
    seen = Observation(str(path), preview.size, predictions, true, [grid], picture, bytes(8))
    return PictureResult(
        InputPicture(Path(path), Path()), predictions, truth=true, cards=[card], observation=seen
    )


def audit_of(results, classes, **parts):
    """Puts what follows from the results together, and what is given."""
    seen = [result.observation for result in results if result.observation is not None]
    known = [number for number, one in enumerate(seen) if one.truth is not None]
    confusion = {}
    for number in known:
        one = seen[number]
        confusion.setdefault((one.truth.index, one.predicted.index), []).append(number)
    right = [number for number in known if seen[number].is_right]
    wrong = [number for number in known if not seen[number].is_right]
    counts = Counter(one.predicted.index for one in seen)
    means = [mean_of(None, "all pictures", len(seen))]
    means += [mean_of(index, classes[index], count) for index, count in counts.most_common()]

    def sure(number):
        return seen[number].predicted.probability

    audit = Audit(
        explainer=FACTS,
        observations=seen,
        errors=[],
        classes=classes,
        accuracy=Fraction(len(right), len(known), (0.5, 0.9)) if known else None,
        confusion=confusion,
        calibration=calibration_of(seen) if known else None,
        confident_errors=sorted(wrong, key=sure, reverse=True),
        unsure=sorted(right, key=sure),
        mean_maps=means,
        groups=[],
        duplicates=[],
        empty_classes=[],
        findings=[],
    )
    return replace(audit, **parts)


def mean_of(index, name, count):
    return MeanMap(index, name, count, blob(0.5, 0.5, GRID), flat_picture(), 0.31, 0.04, 0.6)


def group_of(index, name, pictures, suspicion=""):
    place = (0.05, 0.05) if suspicion else (0.5, 0.5)
    heat = blob(*place, GRID)
    strength = 0.9 if suspicion else 0.0
    return MapGroup(index, name, pictures, heat, flat_picture(), suspicion, strength)


def flat_picture():
    shades = np.linspace(60, 180, GRID).astype(np.uint8)
    return np.broadcast_to(shades[:, None, None], (GRID, GRID, 3)).copy()


def calibration_of(seen):
    bins = []
    for low in np.arange(10) / 10:
        some = [one for one in seen if low < one.predicted.probability <= low + 0.1]
        if some:
            sure = float(np.mean([one.predicted.probability for one in some]))
            right = float(np.mean([bool(one.is_right) for one in some]))
            bins.append(CalibrationBin(float(low), float(low) + 0.1, len(some), sure, right))
    return Calibration(0.08, (0.05, 0.12), bins)
