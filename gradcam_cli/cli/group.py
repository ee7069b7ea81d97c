"""The command group: its default command, and how errors reach the user."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem
from click_default_group import DefaultGroup

from gradcam_cli.errors import INTERRUPTED, GradcamError

DEBUG = "gradcam_cli.debug"


class GradcamGroup(DefaultGroup):  # type: ignore[misc]
    """Runs "explain" where no command is named; turns errors into one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; an error is told in one line, unless --debug is given."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:
            if ctx.meta.get(DEBUG) or isinstance(
                error, (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError)
            ):
                raise
            if isinstance(error, GradcamError):
                message, code = str(error), error.exit_code
            else:
                message = f"{type(error).__name__}: {error} (--debug shows where)"
                code = GradcamError.exit_code
            click.echo(f"Error: {message}", err=True)
            ctx.exit(code)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Lets "--" come first, before a file whose name begins with a hyphen."""
        if args[:1] == ["--"]:
            args = [self.default_cmd_name, *args]
        return list(super().parse_args(ctx, args))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completes what the default command takes too: options and files."""
        completed = super().shell_complete(ctx, incomplete)
        default = self.get_command(ctx, self.default_cmd_name)
        if incomplete.startswith("-"):
            own = click.Context(default, parent=ctx, info_name=default.name, resilient_parsing=True)
            return [*completed, *default.shell_complete(own, incomplete)]
        return [*completed, CompletionItem(incomplete, type="file")]
