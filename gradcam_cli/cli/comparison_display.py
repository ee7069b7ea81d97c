"""Shows a comparison in the terminal."""

from __future__ import annotations

from rich.text import Text

from gradcam_cli.analysis.audit_results import Fraction
from gradcam_cli.analysis.comparison import LAYERS, MODELS, Comparison
from gradcam_cli.analysis.comparison import METHODS as METHODS_COMPARED
from gradcam_cli.analysis.comparison_verdict import describe_comparison
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cli.console import plain_table, stdout_console, visible

_SHOWN = 3


def show_comparison(comparison: Comparison) -> None:
    """Prints a table with a column for each side, and what it means in sentences."""
    if not comparison.pictures:
        return
    console = stdout_console()
    number = len(comparison.pictures)
    failed = f", {len(comparison.errors):,} failed" if comparison.errors else ""
    counted = f"{number:,} picture{'s' * (number != 1)}{failed}"
    head = " · ".join([*_shared_facts(comparison), counted])
    console.print(Text(visible(head), style="dim"))
    names = [visible(side.name) for side in comparison.sides]
    table = plain_table(("", "left"), *((name, "left") for name in names))
    rows = _rows(comparison)
    for row in rows:
        table.add_row(Text(row[0], style="dim"), *row[1:])
    if rows:
        console.print()
        console.print(table)
    console.print()
    for sentence in describe_comparison(comparison):
        console.print(visible(sentence), soft_wrap=True)
    different = comparison.most_different[:_SHOWN]
    if len(comparison.most_different) > _SHOWN:
        named = ", ".join(
            f"{comparison.pictures[one].path} ({comparison.pictures[one].correlation:.2f})"
            for one in different
        )
        sentence = f"Their maps differ most in {named}."
        console.print(visible(sentence), soft_wrap=True)


def _shared_facts(comparison: Comparison) -> list[str]:
    """Lists what both sides have in common, and what is not in the table."""
    first, second = (side.explainer for side in comparison.sides)
    names = [first.model] if comparison.kind != MODELS else []
    if first.method == second.method:
        names.append(METHODS[first.method].title)
    if first.layer == second.layer and first.layer:
        names.append(f"layer {first.layer}")
    return names


def _rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    first, second = (side.explainer for side in comparison.sides)
    rows = []
    if first.model != second.model and first.model not in comparison.sides[0].name:
        rows.append(("model", first.model, second.model))
    if first.method != second.method and comparison.kind != METHODS_COMPARED:
        rows.append(("method", METHODS[first.method].title, METHODS[second.method].title))
    if first.layer != second.layer and comparison.kind != LAYERS:
        rows.append(("layer", first.layer or "none", second.layer or "none"))
    if comparison.has_two_networks and comparison.accuracies is not None:
        first_right, second_right = comparison.accuracies
        rows.append(("right", _counted(first_right), _counted(second_right)))
        rows.append(("accuracy", _percent(first_right), _percent(second_right)))
        rows.append(("95 % interval", _interval(first_right), _interval(second_right)))
    if comparison.mcnemar is not None:
        counts = comparison.mcnemar.only_first, comparison.mcnemar.only_second
        rows.append(("only this one right", f"{counts[0]:,}", f"{counts[1]:,}"))
    return rows


def _counted(right: Fraction) -> str:
    return f"{right.count:,} of {right.total:,}"


def _percent(right: Fraction) -> str:
    return f"{100 * right.value:.1f} %"


def _interval(right: Fraction) -> str:
    low, high = (f"{100 * end:.1f}" for end in right.interval)
    return f"{low} to {high} %"
