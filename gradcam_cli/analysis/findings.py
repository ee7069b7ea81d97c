"""What the user should know of an audit, as sentences.

Each kind of finding has its own threshold, which chance hardly passes: of a good network on clean
pictures, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gradcam_cli.analysis.accuracy import fraction_of
from gradcam_cli.analysis.audit_results import Audit, Calibration, Duplicates, Finding
from gradcam_cli.analysis.heat_places import BORDER_AREA, border_fraction

# Rates and shares of fewer pictures say little.
_FEWEST = 20
_MOST_OF_A_KIND = 8
_MOST_NAMES = 5
# A confusion is worth a sentence if it surely concerns more than this fraction of a class, and more
# than a couple of pictures.
_RARE = 0.05
_FEWEST_CONFUSED = 3
_SURE = 0.9
# What chance would show in one of a hundred audits.
_UNLIKELY = 0.01
_SIMULATIONS = 500
# A calibration error below this doesn't matter, whatever chance says.
_SMALL_ERROR = 0.02
# How much more heat than in an even map has to be at the border. Padding of convolutions alone
# makes small differences.
_BORDER_EXCESS = 1.25
# The quantile of the normal distribution for one of a thousand, as there may be many classes.
_DEVIATIONS = 3.1


def make_findings(audit: Audit) -> list[Finding]:
    """Finds out what the user should know.

    Args:
        audit: The audit; its own findings are ignored.

    Returns:
        The findings, the most important first. Empty if nothing is unusual.
    """
    findings = [
        *_on_groups(audit),
        *_on_confusions(audit),
        *_on_calibration(audit),
        *_on_confident_errors(audit),
        *_on_borders(audit),
        *_on_duplicates(audit),
        *_on_unreadable(audit),
        *_on_empty_classes(audit),
    ]
    return sorted(findings, key=lambda finding: -finding.weight)


def _on_groups(audit: Audit) -> Iterator[Finding]:
    totals = {one.class_index: one.count for one in audit.mean_maps}
    for group in audit.groups:
        if group.suspicion:
            total = totals.get(group.class_index, len(group.pictures))
            yield Finding(
                "group",
                f"The network may know {group.name} by a mark in the picture instead of the "
                f"object, in {len(group.pictures)} of {_pictures(total)}: {group.suspicion}",
                0.6 + 0.4 * group.strength,
                tuple(group.pictures),
            )


def _on_confusions(audit: Audit) -> Iterator[Finding]:
    totals: dict[int, int] = {}
    for (truth, _), numbers in audit.confusion.items():
        totals[truth] = totals.get(truth, 0) + len(numbers)
    found = []
    for (truth, predicted), numbers in audit.confusion.items():
        if truth == predicted or len(numbers) < _FEWEST_CONFUSED:
            continue
        at_least, _ = fraction_of(len(numbers), totals[truth]).interval
        if at_least > _RARE:
            found.append(
                Finding(
                    "confusion",
                    f"{len(numbers)} of {_pictures(totals[truth])} of {audit.classes[truth]} were "
                    f"taken for {audit.classes[predicted]}",
                    0.3 + 0.5 * at_least,
                    tuple(numbers),
                )
            )
    yield from sorted(found, key=lambda finding: -finding.weight)[:_MOST_OF_A_KIND]


def _on_calibration(audit: Audit) -> Iterator[Finding]:
    calibration = audit.calibration
    confidences, are_right, _ = _confidences(audit)
    if calibration is None or len(confidences) < _FEWEST:
        return
    by_chance, gap_by_chance = _calibration_by_chance(calibration, confidences)
    gap = float(confidences.mean() - are_right.mean())
    # Of few pictures, a difference in the same direction everywhere shows before that of the bins.
    is_error, is_gap = calibration.error > by_chance, abs(gap) > gap_by_chance
    if not (is_error or is_gap) or calibration.interval[0] <= _SMALL_ERROR:
        return
    low, high = calibration.interval
    numbers = (
        f"expected calibration error {calibration.error:.2f}, 95 % interval {low:.2f} to {high:.2f}"
    )
    if is_error:
        numbers += f"; chance alone explains up to {by_chance:.2f}"
    else:
        numbers += f"; chance alone explains a difference of up to {_percent(gap_by_chance)}"
    if abs(gap) < calibration.error / 2:
        sentence = (
            f"The network is too sure of some pictures and not sure enough of others ({numbers})"
        )
    else:
        word = "over-confident" if gap > 0 else "under-confident"
        sentence = (
            f"The network is {word}: it is {_percent(confidences.mean())} sure on average, and "
            f"right about {_percent(are_right.mean())} of {_pictures(len(are_right))} ({numbers})"
        )
    # Confidence that is too low misleads less.
    weight = 0.3 + calibration.error * (1 if gap > 0 else 0.3)
    yield Finding("calibration", sentence, min(weight, 0.8))


def _calibration_by_chance(
    calibration: Calibration, confidences: np.ndarray
) -> tuple[float, float]:
    """Returns what a calibrated network hardly exceeds on these pictures.

    Returns:
        The calibration error, and the difference between mean confidence and accuracy.
    """
    ends = np.array([one.high for one in calibration.bins])
    bins = np.minimum(np.searchsorted(ends, confidences), len(ends) - 1)
    generator = np.random.default_rng(0)
    errors, gaps = [], []
    for _ in range(_SIMULATIONS):
        of_pictures = (generator.random(len(confidences)) < confidences) - confidences
        errors.append(np.abs(np.bincount(bins, of_pictures)).sum() / len(confidences))
        gaps.append(abs(of_pictures.mean()))
    error, gap = np.quantile([errors, gaps], 1 - _UNLIKELY, axis=1)
    return float(error), float(gap)


def _on_confident_errors(audit: Audit) -> Iterator[Finding]:
    from scipy.stats import poisson

    if audit.calibration is None:
        return
    confidences, are_right, numbers = _confidences(audit)
    sure = confidences >= _SURE
    wrong = sure & ~are_right
    count, expected = int(wrong.sum()), float((1 - confidences[sure]).sum())
    if count < _FEWEST_CONFUSED or poisson.sf(count - 1, expected) > _UNLIKELY:
        return
    order = np.argsort(-confidences[wrong], kind="stable")
    yield Finding(
        "confident_errors",
        f"{count} of {_pictures(int(sure.sum()))} that the network is at least {_percent(_SURE)} "
        f"sure of are wrong; if it were as often right as it claims, about {expected:.0f} would be",
        min(0.35 + count / int(sure.sum()), 0.85),
        tuple(int(number) for number in numbers[wrong][order]),
    )


def _confidences(audit: Audit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns confidences, whether they are right, and the indices of pictures of known class."""
    known = [n for n, one in enumerate(audit.observations) if one.truth is not None]
    observations = [audit.observations[number] for number in known]
    return (
        np.array([one.predicted.probability for one in observations], np.float64),
        np.array([bool(one.is_right) for one in observations], bool),
        np.array(known, np.intp),
    )


def _on_borders(audit: Audit) -> Iterator[Finding]:
    of_classes: dict[int, list[int]] = {}
    shares = np.full(len(audit.observations), np.nan)
    for number, one in enumerate(audit.observations):
        share = border_fraction(one.predicted_map)
        if share is not None:
            shares[number] = share
            of_classes.setdefault(one.predicted.index, []).append(number)
    with_heat = np.flatnonzero(~np.isnan(shares))
    if _is_at_border(shares[with_heat]):
        yield _border_finding("The maps", shares, with_heat)
        return
    found = [
        _border_finding(f"The maps of {audit.classes[index]}", shares, np.array(numbers))
        for index, numbers in of_classes.items()
        if _is_at_border(shares[numbers])
    ]
    yield from sorted(found, key=lambda finding: -finding.weight)[:_MOST_OF_A_KIND]


def _is_at_border(shares: np.ndarray) -> bool:
    """Returns whether clearly more heat is at the border than in an even map."""
    if len(shares) < _FEWEST:
        return False
    error = float(shares.std(ddof=1)) / len(shares) ** 0.5
    return bool(float(shares.mean()) - _DEVIATIONS * error > _BORDER_EXCESS * BORDER_AREA)


def _border_finding(subject: str, shares: np.ndarray, numbers: np.ndarray) -> Finding:
    share = float(shares[numbers].mean())
    order = np.argsort(-shares[numbers], kind="stable")
    return Finding(
        "border",
        f"{subject} have {_percent(share)} of their heat in the outer tenth of "
        f"{_pictures(len(numbers))}; evenly spread heat would have {_percent(BORDER_AREA)} there",
        min(0.3 + (share - BORDER_AREA) / 2, 0.6),
        tuple(int(number) for number in numbers[order]),
    )


def _on_duplicates(audit: Audit) -> Iterator[Finding]:
    across = [one for one in audit.duplicates if len(one.classes) > 1]
    within = [one for one in audit.duplicates if len(one.classes) == 1]
    if across:
        names = "; ".join(" and ".join(one.classes[:_MOST_NAMES]) for one in across[:3])
        more = "; ..." if len(across) > 3 else ""
        differ = (
            "belong to different classes"
            if all(_is_known(audit, one) for one in across)
            else "are in different classes, by their folder or by what the network says"
        )
        numbers = _numbers(across)
        yield Finding(
            "duplicates",
            f"{_pictures(len(numbers))} look like others, but {differ}: {names}{more}",
            min(0.4 + len(numbers) / len(audit.observations), 0.7),
            numbers,
        )
    if within:
        numbers = _numbers(within)
        copies = len(numbers) - len(within)
        verb = "looks like another" if copies == 1 else "look like others"
        yield Finding(
            "duplicates",
            f"{_pictures(copies)} {verb} of the same class; near-duplicates count twice",
            min(0.1 + copies / len(audit.observations), 0.4),
            numbers,
        )


def _is_known(audit: Audit, duplicates: Duplicates) -> bool:
    return all(audit.observations[number].truth is not None for number in duplicates.pictures)


def _numbers(sets: Sequence[Duplicates]) -> tuple[int, ...]:
    return tuple(number for one in sets for number in one.pictures)


def _on_unreadable(audit: Audit) -> Iterator[Finding]:
    if audit.errors:
        count, total = len(audit.errors), len(audit.errors) + len(audit.observations)
        yield Finding(
            "unreadable",
            f"{count} of {_pictures(total)} couldn't be explained: {audit.errors[0]}"
            + ("; ..." if count > 1 else ""),
            min(0.2 + count / total, 0.9),
        )


def _on_empty_classes(audit: Audit) -> Iterator[Finding]:
    count, total = len(audit.empty_classes), len(audit.classes)
    # Otherwise the pictures are meant to show a few of the model's classes.
    if 0 < count < total / 2:
        names = ", ".join(audit.empty_classes[:_MOST_NAMES])
        more = ", ..." if count > _MOST_NAMES else ""
        verb = "has" if count == 1 else "have"
        yield Finding(
            "empty_class",
            f"{count} of {total} classes {verb} no pictures, so nothing is known of them: "
            f"{names}{more}",
            0.25,
        )


def _pictures(count: int) -> str:
    return f"{count:,} picture" + "s" * (count != 1)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"
