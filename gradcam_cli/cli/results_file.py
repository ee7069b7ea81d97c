"""A file of JSON lines that a run adds to, with one line for each picture."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeAlias

from gradcam_cli.errors import OutputError, UsageError
from gradcam_cli.inputs import InputPicture
from gradcam_cli.outputs import written_whole

# Of each line that `gradcam_cli.cli.display.result_json` makes.
_BEGINNING = b'{"image": "'
# A picture, and the class that was asked for of it alone.
Key: TypeAlias = tuple[str, str | None]


class ResultsFile:
    """Adds lines to a file so that none is lost, cut short or there twice.

    Each line is written by itself, when the files of its picture are complete. A line for a
    picture that has one already replaces it at the end.

    Attributes:
        path: The file.
        done: The keys of the pictures that it tells of, without errors.
    """

    def __init__(self, path: Path) -> None:
        """Reads what earlier runs wrote.

        Args:
            path: The file; it need not exist.

        Raises:
            UsageError: It is there, but holds something else; or it isn't on this machine.
            OutputError: It can't be read or written.
        """
        self.path = path
        self._lines: dict[Key, bytes] = {}
        self.done: set[Key] = set()
        try:
            self._read()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = open(path, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise OutputError(f"--json {path}: cannot be written ({error.strerror})") from error
        self._has_older = False

    def add(self, line: str) -> None:
        """Writes the line of a picture.

        Args:
            line: A JSON object, as `gradcam_cli.cli.display.result_json` makes it.
        """
        key = _key(json.loads(line))
        self._has_older |= key in self._lines
        self._lines[key] = line.encode() + b"\n"
        self._file.write(self._lines[key])

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._has_older:
            self._rewrite()

    def _read(self) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        # A run that was killed, or a full disk, may have cut the last line short.
        *lines, rest = content.split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                key = _key(record)
            except (ValueError, TypeError, KeyError):
                raise UsageError(
                    f"--json {self.path}: line {number} is no result of gradcam; choose another "
                    f"file"
                ) from None
            self._lines.pop(key, None)
            self._lines[key] = line + b"\n"
            if "error" in record:
                self.done.discard(key)
            else:
                self.done.add(key)
        if not (rest.startswith(_BEGINNING) or _BEGINNING.startswith(rest)):
            raise UsageError(
                f"--json {self.path}: its last line is no result of gradcam; choose another file"
            )
        if rest or len(lines) > len(self._lines):
            self._rewrite()

    def _rewrite(self) -> None:
        with written_whole(self.path) as file:
            file.writelines(self._lines.values())


def key_of(picture: InputPicture) -> Key:
    """Gives the key of a picture's line."""
    return str(picture.path), picture.target


def _key(record: dict[str, Any]) -> Key:
    return record["image"], record.get("class")
