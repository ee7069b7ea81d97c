"""What a comparison means, in sentences."""

from __future__ import annotations

from gradcam_cli.analysis.comparison import Comparison, McNemar
from gradcam_cli.analysis.map_agreement import OVERLAP_BY_CHANCE
from gradcam_cli.evaluation.measurement import Measurement
from gradcam_cli.models.labels import format_value

# Below this probability, a difference doesn't count as chance.
_SIGNIFICANT = 0.05
# Of fewer tosses of a coin, even all alike are within chance.
_FEWEST_DIFFERING = 6
# Two thirds of each hottest fifth are then shared.
_MOSTLY_SHARED = 0.5
_SMALLEST_SHOWN = 0.001


def describe_comparison(comparison: Comparison) -> list[str]:
    """Says which network is better, whether that is chance, and how far their maps agree.

    Returns:
        Sentences, each with its numbers.
    """
    if not comparison.pictures:
        return []
    found = [
        _describe_accuracies(comparison),
        _describe_predictions(comparison),
        _describe_values(comparison),
        _describe_maps(comparison),
    ]
    return [sentence for sentence in found if sentence]


def describe_p(p: float) -> str:
    """Writes a probability: "p = 0.012", "p < 0.001"."""
    if p < _SMALLEST_SHOWN:
        return f"p < {_SMALLEST_SHOWN}"
    return f"p = {p:.3f}" if p < 2 * _SIGNIFICANT else f"p = {p:.2f}"


def _describe_accuracies(comparison: Comparison) -> str:
    test = comparison.mcnemar
    if comparison.accuracies is None:
        return ""
    accuracy, total = comparison.accuracies[0], comparison.accuracies[0].total
    if test is None:
        low, high = accuracy.interval
        return (
            f"The model is right for {accuracy.count} of {_count(total)} "
            f"({_percent(accuracy.value)} %, 95 % confidence interval {_range(low, high)} %)."
        )
    first, second = (side.name for side in comparison.sides)
    differing = test.only_first + test.only_second
    if not differing:
        return (
            f"{first} and {second} are right for the same pictures: {accuracy.count} of "
            f"{_count(total)}."
        )
    better, most, worse, fewest = first, test.only_first, second, test.only_second
    if fewest > most:
        better, most, worse, fewest = worse, fewest, better, most
    counted = f"Of the {_count(differing)} for which only one is right, "
    if differing == 1:
        counted = f"Only {better} is right for 1 picture, and for no picture only {worse}"
    elif most == fewest:
        counted += f"{better} and {worse} have {most} each"
    else:
        counted += f"{better} has {most} and {worse} {fewest}"
    both, neither = len(comparison.both_right), len(comparison.neither_right)
    return (
        f"Both are right for {_count(both)}, neither for {_count(neither)}. "
        f"{counted}: {_judge(test, better, differing)}"
    )


def _judge(test: McNemar, better: str, differing: int) -> str:
    tested = f"McNemar's exact test, {describe_p(test.p)}"
    if test.p < _SIGNIFICANT:
        return f"{better} is better, which is hardly chance ({tested})."
    if differing < _FEWEST_DIFFERING:
        return (
            f"the difference is within chance, as any is for fewer than {_FEWEST_DIFFERING} such "
            f"pictures ({tested})."
        )
    return f"the difference is within chance; other pictures may reverse it ({tested})."


def _describe_predictions(comparison: Comparison) -> str:
    same = comparison.same_predictions
    if same is None:
        return ""
    low, high = same.interval
    interval = f", 95 % confidence interval {_range(low, high)} %" if same.total > 1 else ""
    return (
        f"They predict the same class for {same.count} of {_count(same.total)} "
        f"({_percent(same.value)} %{interval})."
    )


def _describe_values(comparison: Comparison) -> str:
    values = comparison.values
    if values is None:
        return ""
    first, second = (side.name for side in comparison.sides)
    mean, (low, high) = values.difference.mean, values.difference.interval
    several = len(values.difference.values) > 1
    interval = f" (95 % confidence interval {format_value(low)} to {format_value(high)})" * several
    related = (
        "" if values.correlation is None else f"; they correlate with {values.correlation:.2f}"
    )
    size = f"differs from that of {first} by {format_value(mean)}{interval} on average{related}."
    meaning = ""
    if several:
        chance = "within chance" if low <= 0 <= high else "hardly chance"
        meaning = f" The difference is {chance}."
    return f"{values.output} of {second} {size}{meaning}"


def _describe_maps(comparison: Comparison) -> str:
    correlation, overlap = comparison.correlation, comparison.overlap
    if correlation is None or overlap is None:
        return "No maps can be compared: in each picture, one is missing or shows nothing."
    shared = overlap.mean
    several = len(overlap.values) > 1
    numbers = (
        f"rank correlation {_mean(correlation)}, and their hottest fifths overlap by "
        f"{_mean(overlap, percent=True)}"
    )
    if several and correlation.interval[1] <= 0:
        meaning = "look at different places"
    elif several and (correlation.interval[0] <= 0 or overlap.interval[0] <= OVERLAP_BY_CHANCE):
        meaning = "agree no more than unrelated maps would"
    elif shared >= _MOSTLY_SHARED:
        meaning = "look at mostly the same places"
    else:
        meaning = "look at partly the same places"
    number = len(correlation.values)
    of_all = f" ({_count(number)})" if number < len(comparison.pictures) else ""
    return (
        f"The maps of {comparison.compared_class}{of_all} {meaning}: {numbers}; unrelated maps "
        f"have 0 and {_percent(OVERLAP_BY_CHANCE)} %."
    )


def _mean(measurement: Measurement, percent: bool = False) -> str:
    low, high = measurement.interval
    mean = f"{_percent(measurement.mean)} %" if percent else f"{measurement.mean:.2f}"
    if len(measurement.values) < 2:
        return mean
    return f"{mean} ({_range(low, high) if percent else f'{low:.2f} to {high:.2f}'})"


def _percent(value: float) -> str:
    return f"{100 * value:.0f}"


def _range(low: float, high: float) -> str:
    return f"{_percent(low)} to {_percent(high)}"


def _count(number: int) -> str:
    return f"{number:,} picture{'s' * (number != 1)}"
