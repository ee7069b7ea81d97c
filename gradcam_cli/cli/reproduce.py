"""The command that makes a picture of a report again."""

from __future__ import annotations

import shlex

import click

GIVEN = "gradcam_cli.given"

# What a report's page fills in for each picture, and what says nothing about a map.
_NOT_REPEATED = frozenset(
    {
        *("paths", "classes", "layers", "methods", "colormap", "alpha"),
        *("out", "name", "format", "top_k", "heatmap", "figure", "each", "report", "report_assets"),
        *("truth", "only", "batch_size", "workers", "address", "json", "manifests"),
        *("skip_existing", "quiet", "verbose", "debug"),
    }
)


def remember_given(ctx: click.Context, args: list[str]) -> None:
    """Keeps what a user typed for each option, before it is converted."""
    given, _, _ = ctx.command.make_parser(ctx).parse_args(list(args))
    ctx.meta[GIVEN] = given


def repeated_arguments(ctx: click.Context, model: str, fit: str) -> list[str]:
    """Gives what a command needs to explain any picture as this run does.

    Args:
        ctx: Of a command whose arguments went through `remember_given`.
        model: The model that was used, whether it was named or chosen.
        fit: The fit that was used.

    Returns:
        Options with their values, as they go to a shell.
    """
    given = {"model": model, "fit": fit} | ctx.meta[GIVEN]
    arguments = []
    for parameter in ctx.command.params:
        if parameter.name in _NOT_REPEATED or given.get(parameter.name) is None:
            continue
        value = given[parameter.name]
        option = parameter.opts[-1]
        if getattr(parameter, "is_flag", False):
            arguments.append(option)
        else:
            values = value if isinstance(value, (list, tuple)) else [value]
            arguments += [f"{option} {shlex.quote(str(one))}" for one in values]
    return arguments
