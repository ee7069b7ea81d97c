"""Writes the files of an audit beside its page."""

from __future__ import annotations

import json
from pathlib import Path

from gradcam_cli.analysis.audit_records import COLUMNS, audit_record, picture_rows
from gradcam_cli.analysis.audit_results import Audit
from gradcam_cli.files.marks import printable
from gradcam_cli.files.tables import write_table
from gradcam_cli.files.writing import written_whole
from gradcam_cli.runtime.extras import how_to_install

PAGE = "audit.html"
_RECORD, _TABLE, _COLUMNS_TABLE = "audit.json", "audit.csv", "audit.parquet"
NAMES = (PAGE, "audit_files", _RECORD, _TABLE, _COLUMNS_TABLE)


def write_tables(audit: Audit, folder: Path) -> str:
    """Writes the audit as JSON, and a row for each picture as CSV and Parquet.

    Args:
        audit: The audit.
        folder: The folder for the files.

    Returns:
        Why the Parquet file is missing; "" if it isn't.

    Raises:
        OutputError: A file can't be written.
    """
    note = _write_parquet(audit, folder / _COLUMNS_TABLE)
    record = audit_record(audit)
    if note:
        record["notes"].append(note)
    with written_whole(folder / _RECORD) as file:
        text = json.dumps(record, ensure_ascii=False, indent=1)
        file.write(f"{printable(text)}\n".encode())
    rows = [[_cell(row[name]) for name in COLUMNS] for row in picture_rows(audit)]
    with written_whole(folder / _TABLE) as file:
        file.write(write_table([list(COLUMNS), *rows]))
    return note


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _write_parquet(audit: Audit, path: Path) -> str:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return f"{path.name} needs pyarrow: {how_to_install('audit')} (audit.csv has the same rows)"
    types = {str: pa.string(), int: pa.int32(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    rows = [
        {name: printable(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
        for row in picture_rows(audit)
    ]
    with written_whole(path) as file:
        pq.write_table(pa.Table.from_pylist(rows, schema), file)
    return ""
