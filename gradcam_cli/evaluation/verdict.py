"""States in plain language what the results mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from gradcam_cli.evaluation.measurement import is_larger
from gradcam_cli.evaluation.results import EvaluatedMaps, Evaluation
from gradcam_cli.evaluation.table import ALL_METRICS, METRICS

# With fewer pictures, even a method that is better in every one is so by chance in more than
# 5 % of cases (two-sided sign test).
FEWEST_PICTURES = 6


def verdicts(evaluation: Evaluation) -> list[str]:
    """Says for each method how it compares with the baselines.

    "Better" means better beyond chance: the 95 % interval of the difference on the same
    pictures lies on one side of 0.

    Returns:
        One or a few sentences for each method.
    """
    return [
        " ".join(filter(None, (_verdict(row, evaluation.baselines), describe_blanks(row))))
        for row in evaluation.explained
    ]


def describe_blanks(row: EvaluatedMaps) -> str:
    """Says how many maps of a row show nothing, and the most common reason; "" for none."""
    if not row.blanks:
        return ""
    (note, number), *others = Counter(blank.note for blank in row.blanks.values()).most_common()
    of_all = f"{len(row.blanks)} of its {len(row.values)} maps"
    shows = "shows" if len(row.blanks) == 1 else "show"
    most = f", {number} of them for this reason" if others else ""
    return f"{of_all} {shows} nothing{most}: {note}."


def beats(row: EvaluatedMaps, baseline: EvaluatedMaps, metric: str) -> bool:
    """Tests whether a row is better than a baseline in a metric, beyond chance."""
    pairs = [
        (values[metric], baseline.values[picture][metric])
        for picture, values in row.values.items()
        if metric in values
    ]
    own, other = np.array(pairs).T
    return is_larger(own, other) if ALL_METRICS[metric].higher_is_better else is_larger(other, own)


def _verdict(row: EvaluatedMaps, baselines: Sequence[EvaluatedMaps]) -> str:
    asked = [name for name in METRICS if METRICS[name].is_faithfulness]
    asked = [name for name in asked if name in row.measurements]
    if not asked:
        return f"{row.name}: no measured metric shows what the network used."
    sentences = [_kept(name, row, baselines) for name in asked if METRICS[name].lost_share_of]
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
        lost = [METRICS[name].title for name in asked if not beats(row, baseline, name)]
        if not lost:
            sentences.append(f"{subject} beats the {baseline.title} in every metric.")
        elif len(lost) == len(asked):
            sentences.append(f"{subject} does not beat the {baseline.title} in any metric.")
        else:
            sentences.append(
                f"{subject} beats the {baseline.title} in {len(asked) - len(lost)} of "
                f"{len(asked)} metrics, but not in {', '.join(lost)}."
            )
    return " ".join(sentences)


def _kept(metric: str, row: EvaluatedMaps, baselines: Sequence[EvaluatedMaps]) -> str:
    def kept(maps: EvaluatedMaps) -> str:
        return f"keeps {100 * (1 - maps.measurements[metric].mean):.0f} %"

    own = (
        f"{row.name} {kept(row)} of {METRICS[metric].lost_share_of} "
        f"± {100 * row.measurements[metric].margin:.0f}"
    )
    return "; ".join([own, *(f"a {other.title} {kept(other)}" for other in baselines)]) + "."
