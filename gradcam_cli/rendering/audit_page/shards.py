"""Splits what a page shows into scripts beside it, which it loads when it needs them.

A page that is opened as a file can't read other files, but it can load them as scripts.
"""

from __future__ import annotations

import json
from typing import Any

from gradcam_cli.rendering.page import AssetFolder


class ShardWriter:
    """Writes the records of one table, some in each script, keeping few of them in memory."""

    def __init__(self, table: str, folder: AssetFolder, size: int) -> None:
        """Begins a table.

        Args:
            table: Its name.
            folder: Where to write.
            size: The number of records in each script.
        """
        self._table = table
        self._folder = folder
        self._size = size
        self._records: list[dict[str, Any]] = []
        self._files: list[str] = []

    def __len__(self) -> int:
        return self._size * len(self._files) + len(self._records)

    def add(self, record: dict[str, Any]) -> None:
        """Adds a record at the end.

        Raises:
            OutputError: It can't be written.
        """
        self._records.append(record)
        if len(self._records) == self._size:
            self._write()

    def finish(self) -> dict[str, Any]:
        """Writes the rest.

        Returns:
            What the page's script needs to find the records.

        Raises:
            OutputError: It can't be written.
        """
        if self._records:
            self._write()
        return {"size": self._size, "files": self._files}

    def _write(self) -> None:
        content = json.dumps(self._records, allow_nan=False, separators=(",", ":"))
        call = f'gradcamShard("{self._table}",{len(self._files)},{content});\n'
        self._files.append(self._folder.write(call.encode("ascii"), ".js"))
        self._records = []
