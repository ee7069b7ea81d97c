"""The table of results: one Parquet file for each block, each picture in one of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gradcam_cli import __version__
from gradcam_cli.explainer_facts import ExplainerFacts
from gradcam_cli.inputs import InputPicture
from gradcam_cli.outputs import written_whole
from gradcam_cli.provenance import printable
from gradcam_cli.records import ExplainedTarget, PictureResult, Prediction
from gradcam_cli.storage import AnyPath, is_remote, names_in, readable, remove

TABLE_FOLDER = "results"
_PART = re.compile(r"part-\d{5,}-[0-9a-f]{16}\.parquet")
_KEY = b"gradcam"
# A store answers in tens of milliseconds, however small the question.
_QUESTIONS_AT_ONCE = 16

_PREDICTION = [
    ("index", pa.int32()),
    ("name", pa.string()),
    ("wnid", pa.string()),
    ("probability", pa.float64()),
]
_TARGET = [
    *_PREDICTION,
    ("output", pa.string()),
    ("heatmap", pa.string()),
    ("has_evidence", pa.bool_()),
    ("box", pa.list_(pa.int32())),
]
_SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("model", pa.string()),
        ("layer", pa.string()),
        ("method", pa.list_(pa.string())),
        ("predictions", pa.list_(pa.struct(_PREDICTION))),
        ("targets", pa.list_(pa.struct(_TARGET))),
        ("truth", pa.struct(_PREDICTION)),
        ("correct", pa.bool_()),
        ("composite", pa.string()),
        ("figure", pa.string()),
        ("error", pa.string()),
    ],
    metadata={_KEY: __version__.encode()},
)


def write_part(
    path: AnyPath, results: Sequence[PictureResult], explainers: Sequence[ExplainerFacts]
) -> None:
    """Writes the rows of some pictures, whole or not at all.

    Args:
        path: The file; one that exists is replaced, but keeps the rows of pictures that were
            skipped.
        results: What came of the pictures.
        explainers: What explained them.

    Raises:
        OutputError: It can't be written.
    """
    rows = [_row(result, explainers) for result in results if not result.skipped]
    skipped = [_text(result.picture.path) for result in results if result.skipped]
    if not rows:
        return
    table = pa.Table.from_pylist(rows, _SCHEMA)
    older = _read(path) if skipped else None
    if older is not None:
        kept = older.filter(pc.is_in(older["image"], value_set=pa.array(skipped, pa.string())))
        table = pa.concat_tables([table, kept])
    _write(path, table)


def recorded_images(folder: AnyPath) -> set[str]:
    """Gives the pictures that the table has rows of, without errors.

    Args:
        folder: Where the parts are, if there are any.

    Raises:
        StorageError: The store can't be reached.
    """
    recorded: set[str] = set()
    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        for table in pool.map(_read, (folder / name for name in _part_names(folder))):
            if table is not None:
                recorded.update(table.filter(pc.is_null(table["error"]))["image"].to_pylist())
    return recorded


def is_recorded(picture: InputPicture, recorded: Collection[str]) -> bool:
    """Says whether a picture is among those of `recorded_images`."""
    return _text(picture.path) in recorded


def drop_older_rows(folder: AnyPath, parts: Collection[str], images: Iterable[AnyPath]) -> None:
    """Takes rows of pictures that were explained anew out of the parts of earlier runs.

    Args:
        folder: Where the parts are.
        parts: The names of the parts that the run has written.
        images: The pictures that are in these.

    Raises:
        OutputError: A part can't be replaced or removed.
        StorageError: The store can't be reached.
    """
    older = [name for name in _part_names(folder) if name not in parts]
    if not older:
        return
    anew = pa.array([_text(image) for image in images], pa.string())

    def drop(name: str) -> None:
        table = _read(folder / name)
        if table is None:
            return
        kept = table.filter(pc.invert(pc.is_in(table["image"], value_set=anew)))
        if kept.num_rows == 0:
            remove(folder / name)
        elif kept.num_rows < table.num_rows:
            _write(folder / name, kept)

    with ThreadPoolExecutor(_QUESTIONS_AT_ONCE) as pool:
        list(pool.map(drop, older))


def _part_names(folder: AnyPath) -> list[str]:
    if is_remote(folder):
        names = names_in(folder)
    else:
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return sorted(filter(_PART.fullmatch, names))


def _write(path: AnyPath, table: pa.Table) -> None:
    with written_whole(path) as file:
        pq.write_table(table, file, compression="zstd")


def _read(path: AnyPath) -> pa.Table | None:
    """Reads a part; None for a file that isn't one of the tool's own."""
    try:
        table = pq.read_table(readable(path))
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    return table if _KEY in (table.schema.metadata or {}) else None


def _row(result: PictureResult, explainers: Sequence[ExplainerFacts]) -> dict[str, Any]:
    return {
        "image": _text(result.picture.path),
        "model": explainers[0].model,
        "layer": explainers[0].layer,
        "method": [explainer.method for explainer in explainers],
        "predictions": [_prediction(prediction) for prediction in result.predictions],
        "targets": [_target(target) for target in result.targets],
        "truth": None if result.truth is None else _prediction(result.truth),
        "correct": None if result.truth is None else not result.is_wrong,
        "composite": _text(result.composite),
        "figure": _text(result.figure),
        "error": None if result.error is None else printable(str(result.error)),
    }


def _prediction(prediction: Prediction) -> dict[str, Any]:
    return {
        "index": prediction.index,
        "name": prediction.name,
        "wnid": prediction.wnid,
        "probability": prediction.probability,
    }


def _target(target: ExplainedTarget) -> dict[str, Any]:
    return {
        **_prediction(target.prediction),
        "output": _text(target.output),
        "heatmap": _text(target.heatmap),
        "has_evidence": target.has_evidence,
        "box": None if target.region is None else target.region.box,
    }


def _text(path: AnyPath | None) -> str | None:
    return None if path is None else printable(str(path))
