"""The result table: one Parquet file for each block, with one row for each picture."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.files.finding import InputPicture, PictureKey, make_key
from gradcam_cli.files.marks import printable
from gradcam_cli.files.storage import AnyPath, is_remote, names_in, readable, remove
from gradcam_cli.files.writing import written_whole
from gradcam_cli.models.labels import Prediction
from gradcam_cli.run.records import ExplainedTarget, PictureResult
from gradcam_cli.version import __version__

TABLE_FOLDER = "results"
_PART = re.compile(r"part-\d{5,}-[0-9a-f]{16}\.parquet")
_KEY = b"gradcam"
# A store takes tens of milliseconds to answer even a small request.
_QUESTIONS_AT_ONCE = 16

_KEY_COLUMNS = ["image", "class", "inputs"]

_PREDICTION = [
    ("index", pa.int32()),
    ("name", pa.string()),
    ("wnid", pa.string()),
    ("probability", pa.float64()),
    ("value", pa.float64()),
    ("share", pa.float64()),
]
_TARGET = [
    *_PREDICTION,
    ("joined", pa.list_(pa.int32())),
    ("output", pa.string()),
    ("heatmap", pa.string()),
    ("mask", pa.string()),
    ("note", pa.string()),
    ("blank", pa.string()),
    ("box", pa.list_(pa.int32())),
    ("input", pa.string()),
    # The edges of a detector's object; "box" is that of the heat.
    ("object", pa.list_(pa.float64())),
]
_SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("class", pa.string()),
        ("inputs", pa.string()),
        ("model", pa.string()),
        ("layer", pa.string()),
        ("method", pa.list_(pa.string())),
        ("against", pa.struct([("index", pa.int32()), ("name", pa.string())])),
        ("predictions", pa.list_(pa.struct(_PREDICTION))),
        ("targets", pa.list_(pa.struct(_TARGET))),
        ("truth", pa.struct(_PREDICTION)),
        ("correct", pa.bool_()),
        ("composite", pa.string()),
        ("figure", pa.string()),
        ("note", pa.string()),
        ("error", pa.string()),
    ],
    metadata={_KEY: __version__.encode()},
)


def write_part(
    path: AnyPath, results: Sequence[PictureResult], explainers: Sequence[ExplainerFacts]
) -> None:
    """Writes the rows of some pictures atomically.

    Args:
        path: The file. An existing one is replaced, but the rows of pictures that were
            skipped are kept.
        results: The results of the pictures.
        explainers: The explainers.

    Raises:
        OutputError: The file can't be written.
    """
    rows = [_row(result, explainers) for result in results if not result.skipped]
    skipped = {row_key(result.picture) for result in results if result.skipped}
    if not rows:
        return
    older = _read(path) if skipped else None
    if older is not None:
        # An earlier version may have written them with fewer columns.
        rows += _rows_of(older, skipped).to_pylist()
    _write(path, pa.Table.from_pylist(rows, _SCHEMA))


def row_key(picture: InputPicture) -> PictureKey:
    """Returns the key that all rows of a picture share, and no others."""
    target = picture.target
    path = printable(str(picture.path))
    return make_key(path, None if target is None else printable(target), dict(picture.values))


def recorded_rows(folder: AnyPath) -> set[PictureKey]:
    """Returns the keys of the table's rows, except those with errors.

    Args:
        folder: The folder of the parts, which may not exist.

    Raises:
        StorageError: The store can't be reached.
    """
    recorded: set[PictureKey] = set()
    for keys in _keys_of(folder, _part_names(folder)):
        recorded.update(key for key, failed in keys if not failed)
    return recorded


def drop_older_rows(folder: AnyPath, parts: Collection[str], anew: Collection[PictureKey]) -> None:
    """Removes duplicate rows when earlier runs cut the pictures into other parts.

    The rows of this run's parts are the newest. If a stopped run left duplicates among other
    parts, a row without an error is kept.

    Args:
        folder: The folder of the parts.
        parts: The names of this run's parts, written or not.
        anew: The keys of the rows that this run has written.

    Raises:
        OutputError: A part can't be replaced or removed.
        StorageError: The store can't be reached.
    """
    names = _part_names(folder)
    older = [name for name in names if name not in parts]
    if not older:
        return
    seen = set(anew)
    for keys in _keys_of(folder, [name for name in names if name in parts]):
        seen.update(key for key, _ in keys)
    doubtful: list[tuple[str, int, PictureKey]] = []
    dropped: dict[str, set[int]] = {}
    for name, keys in zip(older, _keys_of(folder, older), strict=True):
        for place, (key, failed) in enumerate(keys):
            if failed:
                doubtful.append((name, place, key))
            elif key in seen:
                dropped.setdefault(name, set()).add(place)
            else:
                seen.add(key)
    for name, place, key in doubtful:
        if key in seen:
            dropped.setdefault(name, set()).add(place)
        seen.add(key)

    def drop(name: str) -> None:
        table = _read(folder / name)
        if table is None:
            return
        kept = [place for place in range(table.num_rows) if place not in dropped[name]]
        if kept:
            _write(folder / name, table.take(kept))
        else:
            remove(folder / name)

    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        list(pool.map(drop, dropped))


def _keys_of(folder: AnyPath, names: Sequence[str]) -> Iterator[list[tuple[PictureKey, bool]]]:
    """Returns the key of each row in some parts, and whether the row has an error."""

    def keys(name: str) -> list[tuple[PictureKey, bool]]:
        table = _read(folder / name, [*_KEY_COLUMNS, "error"])
        if table is None:
            return []
        failed = [error is not None for error in table["error"].to_pylist()]
        return list(zip(_row_keys(table), failed, strict=True))

    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        yield from pool.map(keys, names)


def _rows_of(table: pa.Table, wanted: Collection[PictureKey]) -> pa.Table:
    places = [place for place, key in enumerate(_row_keys(table)) if key in wanted]
    return table.take(pa.array(places, pa.int64()))


def _row_keys(table: pa.Table) -> list[PictureKey]:
    images, classes = (table[column].to_pylist() for column in ("image", "class"))
    # Earlier versions had no such column.
    has_values = "inputs" in table.column_names
    values = table["inputs"].to_pylist() if has_values else [None] * len(images)
    return [
        make_key(image, class_, json.loads(value or "{}"))
        for image, class_, value in zip(images, classes, values, strict=True)
    ]


def _part_names(folder: AnyPath) -> list[str]:
    if is_remote(folder):
        names = names_in(folder)
    else:
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return sorted(filter(_PART.fullmatch, names))


def _write(path: AnyPath, table: pa.Table) -> None:
    with written_whole(path) as file:
        pq.write_table(table, file, compression="zstd")


def _read(path: AnyPath, columns: list[str] | None = None) -> pa.Table | None:
    """Reads a part; None for a file that this tool didn't write."""
    try:
        table = pq.read_table(readable(path), columns=columns)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    if _KEY not in (table.schema.metadata or {}):
        return None
    if columns is None and table.schema != _SCHEMA:
        # Earlier versions had fewer columns.
        return pa.Table.from_pylist(table.to_pylist(), _SCHEMA)
    return table


def _row(result: PictureResult, explainers: Sequence[ExplainerFacts]) -> dict[str, Any]:
    picture = result.picture
    against = explainers[0].against
    return {
        "image": printable(str(picture.path)),
        "class": None if picture.target is None else printable(picture.target),
        "inputs": json.dumps(dict(picture.values), sort_keys=True) if picture.values else None,
        "model": explainers[0].model,
        "layer": explainers[0].layer,
        "method": [one.method for one in explainers if one.input == explainers[0].input],
        "against": None if against is None else {"index": against[0], "name": against[1]},
        "predictions": [_prediction(prediction) for prediction in result.predictions],
        "targets": [_target(target) for target in result.targets],
        "truth": None if result.truth is None else _prediction(result.truth),
        "correct": None if result.truth is None else not result.is_wrong,
        "composite": _text(result.composite),
        "figure": _text(result.figure),
        "note": printable(result.note) if result.note else None,
        "error": None if result.error is None else printable(str(result.error)),
    }


def _prediction(prediction: Prediction) -> dict[str, Any]:
    return {
        "index": prediction.index,
        "name": prediction.name,
        "wnid": prediction.wnid,
        prediction.quantity: prediction.probability,
    }


def _target(target: ExplainedTarget) -> dict[str, Any]:
    return {
        **_prediction(target.prediction),
        "joined": list(target.prediction.joined) or None,
        "output": _text(target.output),
        "heatmap": _text(target.heatmap),
        "mask": _text(target.mask),
        "note": None if target.blank is None else printable(target.blank.note),
        "blank": None if target.blank is None else str(target.blank.reason),
        "box": None if target.region is None else target.region.box,
        "input": target.input or None,
        "object": None if target.detected is None else target.detected.rounded,
    }


def _text(path: AnyPath | None) -> str | None:
    return None if path is None else printable(str(path))
