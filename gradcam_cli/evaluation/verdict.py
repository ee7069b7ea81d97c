"""States in plain language what the results mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gradcam_cli.evaluation.evaluated_maps import EvaluatedMaps, short_name
from gradcam_cli.evaluation.ranking import FEWEST_PICTURES, Ranking, beats, rank_maps
from gradcam_cli.evaluation.table import ALL_METRICS

# Bounds of the mean rank correlation between two metrics.
_AGREEING, _CONFLICTING = 0.7, 0.3
# Longer lists are cut.
_MOST_NAMED = 4
_NO_FAITHFULNESS = "No measured metric shows what the network used; add --metric deletion."


@dataclass(frozen=True, eq=False)
class Verdict:
    """What an evaluation says about its methods or layers.

    "Better" and "beats" mean better beyond chance: the 95 % interval of the difference on the
    same pictures lies on one side of 0.

    Attributes:
        ranking: The methods by mean rank over the faithfulness metrics.
        beaten: For each method in the order of the ranking, and by the title of each baseline:
            the faithfulness metrics in which the method beats the baseline.
        recommended: The method to use; None if the results don't justify a choice.
        sentences: The verdict in words.
    """

    ranking: Ranking
    beaten: list[dict[str, list[str]]]
    recommended: EvaluatedMaps | None
    sentences: list[str]


def judge(rows: Sequence[EvaluatedMaps], default_layer: str | None = None) -> Verdict:
    """Compares methods or layers with each other and with the baselines.

    Args:
        rows: Methods and baselines.
        default_layer: The layer that is used if the user names none; None if the verdict isn't
            about the choice of a layer.
    """
    return _Judge(rows, default_layer).verdict()


def faithfulness_metrics(rows: Sequence[EvaluatedMaps]) -> list[str]:
    """Returns the metrics that query the network and that all methods have, in their order."""
    explained = [row for row in rows if not row.is_baseline]
    return [
        name
        for name, metric in ALL_METRICS.items()
        if metric.is_faithfulness and all(name in row.measurements for row in explained)
    ]


class _Judge:
    def __init__(self, rows: Sequence[EvaluatedMaps], default_layer: str | None) -> None:
        self._rows = rows
        self._explained = [row for row in rows if not row.is_baseline]
        self._baselines = [row for row in rows if row.is_baseline]
        self._metrics = faithfulness_metrics(rows)
        self._ranking = rank_maps(self._explained, self._metrics)
        self._beaten = [self._beaten_by(ranked.maps) for ranked in self._ranking.rows]
        self._pictures = len(self._explained[0].values)
        self._default_layer = default_layer
        self._default = next(
            (row for row in self._explained if row.layer == default_layer is not None), None
        )

    def verdict(self) -> Verdict:
        chosen = None
        if not self._metrics:
            sentences = [_NO_FAITHFULNESS]
        elif len(self._explained) == 1:
            sentences = self._describe_single()
        else:
            chosen, choice = self._choose()
            sentences = [choice, *self._unmeasured(), *self._unbeaten(), *self._agreement()]
        return Verdict(self._ranking, self._beaten, chosen, [*sentences, *self._blanks()])

    def _beaten_by(self, row: EvaluatedMaps) -> dict[str, list[str]]:
        return {
            baseline.title: [name for name in self._metrics if beats(row, baseline, name)]
            for baseline in self._baselines
        }

    def _describe_single(self) -> list[str]:
        (row,) = self._explained
        sentences = [*filter(None, (self._kept(row, name) for name in self._metrics))]
        if self._baselines and self._pictures < FEWEST_PICTURES:
            subject = "it" if sentences else row.name
            return [*sentences, f"{self._too_few} whether {subject} beats {self._either}."]
        for title, won in self._beaten[0].items():
            subject = "It" if sentences else row.name
            lost = [name for name in self._metrics if name not in won]
            if not lost:
                sentences.append(f"{subject} beats the {title} in every metric.")
            elif not won:
                sentences.append(f"{subject} does not beat the {title} in any metric.")
            else:
                sentences.append(
                    f"{subject} beats the {title} in {len(won)} of {len(self._metrics)} metrics, "
                    f"but not in {_titles(lost)}."
                )
        return sentences

    def _kept(self, row: EvaluatedMaps, metric: str) -> str:
        """States a lost share as what is kept; "" for other metrics."""
        lost_share_of = ALL_METRICS[metric].lost_share_of
        if not lost_share_of:
            return ""

        def kept(maps: EvaluatedMaps) -> str:
            return f"{100 * (1 - maps.measurements[metric].mean):.0f} %"

        margin = f" ± {100 * row.measurements[metric].margin:.0f}" if self._pictures > 1 else ""
        others = "".join(f"; a {other.title} keeps {kept(other)}" for other in self._baselines)
        return f"{row.name} keeps {kept(row)}{margin} of {lost_share_of}{others}."

    def _choose(self) -> tuple[EvaluatedMaps | None, str]:
        """Decides which method to recommend, and says why."""
        if self._pictures < FEWEST_PICTURES:
            beaten = f" or what beats {self._either}" if self._baselines else ""
            return None, f"{self._too_few} which is best{beaten}."
        leaders = [ranked.maps for ranked in self._ranking.leaders]
        first, *others = leaders
        if self._default is not None and self._default in leaders:
            chosen, is_default = self._default, ", the default layer"
        else:
            chosen, is_default = first, ""
        beaten_by = dict(zip((r.maps.name for r in self._ranking.rows), self._beaten, strict=True))
        unbeaten = [title for title, metrics in beaten_by[chosen.name].items() if not metrics]
        if unbeaten:
            return None, (
                f"None can be recommended: {self._name(chosen)} is among the first, but does not "
                f"beat the {' or the '.join(unbeaten)} in any metric."
            )
        if not others:
            return first, (
                f"Recommended: {self._name(first)}{is_default}. Its mean rank is better than that "
                f"of all others, beyond chance."
            )
        rest = "" if len(leaders) == len(self._explained) else "; the others rank worse"
        equal = f"o difference beyond chance between {self._list(leaders)}{rest}"
        if is_default:
            return chosen, f"Keep the default layer, {self._name(chosen)}: n{equal}."
        if self._default is None:
            return None, f"N{equal}."
        return first, (
            f"Recommended: {self._name(first)}. Its mean rank is better than that of the default "
            f"layer, {self._name(self._default)}, beyond chance, but not than that of "
            f"{self._list(others)}."
        )

    def _unmeasured(self) -> list[str]:
        if self._default_layer is None or self._default is not None:
            return []
        return [f"The default layer, {self._default_layer}, was not measured."]

    def _unbeaten(self) -> list[str]:
        """Says where nothing beats a baseline."""
        if self._pictures < FEWEST_PICTURES:
            return []
        sentences = []
        for baseline in self._baselines:
            won = {name for beaten in self._beaten for name in beaten[baseline.title]}
            lost = [name for name in self._metrics if name not in won]
            where = "any metric" if not won else _titles(lost)
            if lost:
                sentences.append(f"None beats the {baseline.title} in {where}.")
        return sentences

    def _agreement(self) -> list[str]:
        agreement, judges = self._ranking.agreement, len(self._ranking.judges)
        if agreement is None:
            return []
        # The mean of Spearman's correlations between the metrics.
        correlation = (judges * agreement - 1) / (judges - 1)
        if correlation >= _AGREEING:
            agree = "largely agree on the order"
        elif correlation >= _CONFLICTING:
            agree = "agree on the order only in part"
        else:
            agree = "contradict each other on the order, which a mean rank hides"
        which = "metrics" if judges == len(self._metrics) else "metrics that differ"
        return [
            f"The {judges} {which} {agree}: Kendall's W is {agreement:.2f} (1: the same order; "
            f"{1 / judges:.2f}: chance)."
        ]

    def _blanks(self) -> list[str]:
        """Says which methods have maps that show nothing, and why; once for the same reason."""
        names: dict[str, list[str]] = {}
        for row in self._explained:
            if text := describe_blanks(row):
                names.setdefault(text, []).append(self._name(row))
        return [f"{_join(some)}: {text}" for text, some in names.items()]

    @property
    def _too_few(self) -> str:
        number = self._pictures
        return f"{number} picture{'s are' if number > 1 else ' is'} too few to say"

    @property
    def _either(self) -> str:
        return " or ".join(f"the {baseline.title}" for baseline in self._baselines)

    def _list(self, rows: Sequence[EvaluatedMaps]) -> str:
        return _join([self._name(row) for row in rows])

    def _name(self, row: EvaluatedMaps) -> str:
        return short_name(row, self._rows)


def describe_blanks(row: EvaluatedMaps) -> str:
    """Says how many maps of a row show nothing or aren't final, and why; "" for none."""
    blanks = [blank for blank in row.blanks.values() if blank.is_blank]
    unsettled = len(row.blanks) - len(blanks)
    sentences = []
    if blanks:
        (note, number), *others = Counter(blank.note for blank in blanks).most_common()
        shows = "shows" if len(blanks) == 1 else "show"
        most = f", {number} of them for this reason" if others else ""
        of_all = f"{len(blanks)} of its {len(row.values)} maps"
        sentences.append(f"{of_all} {shows} nothing{most}: {note}.")
    if unsettled:
        haven = "hasn't" if unsettled == 1 else "haven't"
        of_all = f"{unsettled} of its {len(row.values)} maps"
        sentences.append(f"{of_all} {haven} settled, so their details are partly chance.")
    return " ".join(sentences)


def _titles(metrics: Sequence[str]) -> str:
    return ", ".join(ALL_METRICS[name].title for name in metrics)


def _join(names: Sequence[str]) -> str:
    """Joins names: "A, B and C", "A, B, C and 5 others"."""
    if len(names) > _MOST_NAMED:
        names = [*names[: _MOST_NAMED - 1], f"{len(names) - _MOST_NAMED + 1} others"]
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
