"""Shows a comparison in the terminal."""

from __future__ import annotations

from rich.text import Text

from gradcam_cli.analysis.audit_results import Fraction
from gradcam_cli.analysis.comparison import Comparison
from gradcam_cli.analysis.comparison_verdict import describe_comparison
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.cli.console import plain_table, stdout_console, visible

_SHOWN = 3


def show_comparison(comparison: Comparison) -> None:
    """Prints a table with a column for each side, and what it means in sentences."""
    console = stdout_console()
    number = len(comparison.pictures)
    failed = f", {len(comparison.errors):,} failed" if comparison.errors else ""
    counted = f"{number:,} picture{'s' * (number != 1)}{failed}"
    head = " · ".join([*_shared_facts(comparison), counted])
    console.print(Text(visible(head), style="dim"))
    if not comparison.pictures:
        return
    first, second = comparison.sides
    table = plain_table(("", "left"), (first.name, "left"), (second.name, "left"))
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
    names = [] if comparison.has_two_networks else [first.model]
    if first.method == second.method:
        names.append(METHODS[first.method].title)
    if first.layer == second.layer:
        names.append(f"layer {first.layer}")
    return names


def _rows(comparison: Comparison) -> list[tuple[str, str, str]]:
    first, second = (side.explainer for side in comparison.sides)
    rows = []
    if first.model != second.model and first.model not in comparison.sides[0].name:
        rows.append(("model", first.model, second.model))
    if first.layer != second.layer and comparison.kind != "layers":
        rows.append(("layer", first.layer, second.layer))
    if comparison.accuracies is not None:
        shown = [_accuracy(one) for one in comparison.accuracies]
        rows.append(("accuracy", shown[0], shown[1]))
    if comparison.mcnemar is not None:
        counts = comparison.mcnemar.only_first, comparison.mcnemar.only_second
        rows.append(("only this one right", f"{counts[0]:,}", f"{counts[1]:,}"))
        both, neither = len(comparison.both_right), len(comparison.neither_right)
        rows.append(("both right", f"{both:,}", ""))
        rows.append(("neither right", f"{neither:,}", ""))
    return rows


def _accuracy(accuracy: Fraction) -> str:
    low, high = (f"{100 * end:.1f}" for end in accuracy.interval)
    return (
        f"{100 * accuracy.value:.1f} %  ({accuracy.count:,} of {accuracy.total:,}; 95 % interval "
        f"{low} to {high} %)"
    )
