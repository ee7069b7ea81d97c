"""The JSON Lines file to which a run appends a line for each picture."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from gradcam_cli.errors import OutputError, UsageError, reason
from gradcam_cli.files.finding import PictureKey, make_key
from gradcam_cli.files.writing import written_whole

# The beginning of each line from `gradcam_cli.cli.display.result_json`.
_BEGINNING = b'{"image": "'


class ResultsFile:
    """Appends lines to a file so that none is lost, cut short or duplicated.

    Each line is written at once when the files of its picture are complete. A line for a picture
    that already has one is appended too. The older one is removed when the file is closed.

    Attributes:
        path: The file.
        done: The keys of the pictures that were explained without an error in earlier runs.
    """

    def __init__(self, path: Path) -> None:
        """Reads what earlier runs wrote.

        Args:
            path: The file. It needn't exist.

        Raises:
            UsageError: The file exists but contains something else.
            OutputError: The file can't be read or written.
        """
        self.path = path
        # Positions and lengths of the newest lines. A million lines would take too much memory.
        self._places: dict[PictureKey, tuple[int, int]] = {}
        self.done: set[PictureKey] = set()
        # A device or a pipe (/dev/stdout) accepts lines, but can't be read or rewritten.
        self._keeps_lines = path.is_file() or not path.exists()
        with self._reporting_errors():
            if self._keeps_lines:
                self._read()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = open(path, "ab", buffering=0)  # noqa: SIM115
        self._has_older = False

    def add(self, key: PictureKey, line: str) -> None:
        """Writes the line of a picture.

        Args:
            key: The key of the picture.
            line: A JSON object from `gradcam_cli.cli.display.result_json`.

        Raises:
            OutputError: The line can't be written. The file then contains no part of it.
        """
        encoded = line.encode() + b"\n"
        with self._reporting_errors():
            if not self._keeps_lines:
                self._write(encoded)
                return
            start = self._file.seek(0, os.SEEK_END)
            try:
                self._write(encoded)
            except BaseException:
                self._file.truncate(start)
                raise
        self._has_older |= key in self._places
        self._places[key] = start, len(encoded)

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

    @contextlib.contextmanager
    def _reporting_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"--json {self.path}: cannot be written ({reason(error)})") from error

    def _write(self, line: bytes) -> None:
        # A disk that is nearly full may accept only a part.
        rest = memoryview(line)
        while rest:
            rest = rest[self._file.write(rest) :]

    def _read(self) -> None:
        if not self.path.exists():
            return
        is_untidy = False
        start = 0
        with open(self.path, "rb") as file:
            # A foreign file without line breaks would be read into memory as a single line.
            if file.peek(1)[:1] not in (b"", b"{"):
                raise self._not_a_result("line 1")
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    # A killed run or a full disk may have cut the last line short.
                    if not (line.startswith(_BEGINNING) or _BEGINNING.startswith(line)):
                        raise self._not_a_result("its last line")
                    is_untidy = True
                    break
                try:
                    record = json.loads(line)
                    inputs = record.get("inputs", {})
                    key = make_key(record["image"], record.get("class"), inputs)
                except (ValueError, TypeError, KeyError):
                    raise self._not_a_result(f"line {number}") from None
                is_untidy |= self._places.pop(key, None) is not None
                self._places[key] = start, len(line)
                start += len(line)
                if "error" in record:
                    self.done.discard(key)
                else:
                    self.done.add(key)
        if is_untidy:
            self._rewrite()

    def _not_a_result(self, what: str) -> UsageError:
        return UsageError(
            f"--json {self.path}: {what} is not a result of gradcam; choose another file"
        )

    def _rewrite(self) -> None:
        with open(self.path, "rb") as older, written_whole(self.path, "--json") as file:
            for key, (start, length) in self._places.items():
                older.seek(start)
                self._places[key] = file.tell(), length
                file.write(older.read(length))
