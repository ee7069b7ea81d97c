"""The command that reproduces a map of a report."""

from __future__ import annotations

import shlex

import click

GIVEN = "gradcam_cli.given"

# Options that the report's page fills in for each map, and options that don't affect a map.
_NOT_REPEATED = frozenset(
    {
        *("paths", "inputs", "classes", "join", "layers", "methods", "colormap", "alpha"),
        *(
            "out",
            "name",
            "format",
            "top_k",
            "heatmap",
            "figure",
            "each",
            "report",
            "report_assets",
        ),
        *("truth", "only", "batch_size", "workers", "address", "json", "manifests"),
        *("skip_existing", "quiet", "verbose", "debug"),
    }
)


def remember_given(ctx: click.Context, args: list[str]) -> None:
    """Stores what the user typed for each option, before it is converted."""
    given, _, _ = ctx.command.make_parser(ctx).parse_args(list(args))
    ctx.meta[GIVEN] = given


def repeated_arguments(ctx: click.Context, model: str, fit: str) -> list[str]:
    """Returns the options with which a command explains a picture like this run.

    Args:
        ctx: The context of a command that has called `remember_given`.
        model: The model that was used, whether the user named it or not.
        fit: The fit that was used.

    Returns:
        The options with their values, quoted for a shell.
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
