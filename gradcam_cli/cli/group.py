"""The command group: its default command, and the output of errors."""

from __future__ import annotations

import io
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.shell_completion import CompletionItem
from click_default_group import DefaultGroup

from gradcam_cli.cli.console import describe_error, say, say_warning, visible
from gradcam_cli.errors import (
    GradcamError,
    GradcamWarning,
    ReaderGoneError,
    SharedWarning,
    describe_interruption,
    reason,
    suggestion,
)

DEBUG = "gradcam_cli.debug"
_WORD = re.compile(r"[a-z][a-z-]*", re.IGNORECASE)
_LIKENESS = 0.7


class GradcamGroup(DefaultGroup):  # type: ignore[misc]
    """Runs "explain" if no command is named, and prints errors in one line."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Runs the command line and exits with its exit code."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)
        try:
            code = super().main(*args, standalone_mode=False, **extra)
        except click.ClickException as error:
            message = io.StringIO()
            error.show(message)
            say(message.getvalue().rstrip("\n"), err=True)
            code = error.exit_code
        except click.Abort as abort:
            code = GradcamError.exit_code
            # Click has printed an empty line.
            if isinstance(abort.__cause__, KeyboardInterrupt):
                word, code = describe_interruption(abort.__cause__)
                say(f"{word}.", err=True)
        except GradcamError as error:
            code = _print_error(error)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command and prints its error in one line, with --debug after the traceback."""
        try:
            with _printed_warnings():
                return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            word, code = describe_interruption(interrupt)
            say(f"\n{word}.", err=True)
            ctx.exit(code)
        except Exception as error:
            if isinstance(error, (click.ClickException, click.exceptions.Exit, click.Abort)):
                raise
            if ctx.meta.get(DEBUG):
                say(traceback.format_exc().rstrip("\n"), err=True)
            ctx.exit(_print_error(error))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Allows "--" as the first argument, before a file whose name begins with a hyphen.

        Raises:
            click.UsageError: The first argument resembles a command and isn't a file.
        """
        if args[:1] == ["--"]:
            args = [self.default_cmd_name, *args]
        elif args and args[0] not in self.commands and _looks_like_a_command(args[0]):
            close = suggestion(args[0], self.commands, likeness=_LIKENESS)
            if close:
                raise click.UsageError(f"{args[0]!r} is neither a command nor a file{close}", ctx)
        return list(super().parse_args(ctx, args))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Also completes the options and files of the default command."""
        completed = super().shell_complete(ctx, incomplete)
        default = self.get_command(ctx, self.default_cmd_name)
        if incomplete.startswith("-"):
            own = click.Context(default, parent=ctx, info_name=default.name, resilient_parsing=True)
            return [*completed, *default.shell_complete(own, incomplete)]
        return [*completed, CompletionItem(incomplete, type="file")]


@contextmanager
def _printed_warnings() -> Iterator[None]:
    """Prints our own warnings in one line each, unless the command has --quiet."""
    with warnings.catch_warnings():
        show_others = warnings.showwarning
        shown: set[str] = set()

        def show(message: Warning | str, category: type[Warning], *args: Any, **more: Any) -> None:
            if not issubclass(category, GradcamWarning):
                show_others(message, category, *args, **more)
                return
            context = click.get_current_context(silent=True)
            is_quiet = context is not None and context.params.get("quiet")
            # A file may be read again once more is known about the model.
            told = category.__name__ if issubclass(category, SharedWarning) else str(message)
            if not is_quiet and told not in shown:
                shown.add(told)
                say_warning(str(message))

        warnings.showwarning = show
        warnings.simplefilter("always", GradcamWarning)
        yield


def _looks_like_a_command(word: str) -> bool:
    return _WORD.fullmatch(word) is not None and not os.path.exists(word)


def _print_error(error: Exception) -> int:
    """Prints an error in one line, with its details below, and returns its exit code."""
    if isinstance(error, GradcamError):
        if not isinstance(error, ReaderGoneError):
            say(describe_error(error), err=True)
        return error.exit_code
    named = f"{type(error).__name__}: {reason(error)}"
    say(f"Error: {visible(named)} (add --debug to see where)", err=True)
    return GradcamError.exit_code
