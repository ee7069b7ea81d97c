"""Formats results: as lines for people, as JSON for programs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cli.console import plain_table, to_json, visible
from gradcam_cli.cli.detection_display import object_lines, object_record
from gradcam_cli.pictures.regions import simplify_outline

if TYPE_CHECKING:
    from gradcam_cli.models.classifier import Classifier
    from gradcam_cli.models.labels import Prediction
    from gradcam_cli.networks.layers import LayerInfo
    from gradcam_cli.pictures.regions import Region
    from gradcam_cli.run.records import ExplainedTarget, FrameResult, PictureResult

_NAME_WIDTH = 22
_BAR_WIDTH = 16
_VALUE_WIDTH = 12
# The line of a class up to its files: indent, name, index, bar, probability and gaps.
_CLASS_WIDTH = 2 + _NAME_WIDTH + 2 + 4 + 2 + _BAR_WIDTH + 2 + 7 + 2
# The same for a value, which has no bar.
_OUTPUT_WIDTH = 2 + _NAME_WIDTH + 2 + 4 + 2 + _VALUE_WIDTH + 2
_FEWEST_OUTPUTS = 5
# The classes that are named as the most probable of some pictures of a stack.
_FOREMOST = 3
# Index and mark, the output, the type and the parameters of a layer, with their gaps.
_LAYER_COLUMNS_WIDTH = 5 + 2 + 2 + 2 + 9
_LAYER_OUTPUT_WIDTH = 14
_LAYER_TYPE_WIDTH = 25
_LAYER_PARAMETERS_WIDTH = 13
_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"


def layer_table(layers: Sequence[LayerInfo], width: int) -> Table:
    """Makes the table of layers, with the default marked and unusable layers dimmed.

    Args:
        layers: The layers.
        width: The number of characters in a line. Names are never cut. If the columns don't fit,
            the parameters are left out first, then the types.
    """
    widest = max(
        cell_len(visible(layer.node.path)) + 2 * layer.node.path.count("/") for layer in layers
    )
    outputs = max(_LAYER_OUTPUT_WIDTH, *(len(_describe_output(layer)) for layer in layers), 0)
    room = width - widest - outputs - _LAYER_COLUMNS_WIDTH
    with_types = room >= _LAYER_TYPE_WIDTH
    with_parameters = room >= _LAYER_TYPE_WIDTH + _LAYER_PARAMETERS_WIDTH
    columns: list[tuple[str, Literal["left", "right"]]] = [("index", "right"), ("layer", "left")]
    if with_types:
        columns.append(("type", "left"))
    columns.append(("output", "left"))
    if with_parameters:
        columns.append(("parameters", "right"))
    table = plain_table(*columns, ("", "left"))
    for layer in layers:
        node = layer.node
        parents, _, name = node.path.rpartition("/")
        # Indent by the depth of nesting. The path is written in full, so that it can be copied.
        text = Text("  " * node.path.count("/"))
        text.append(f"{parents}/" if parents else "", style="dim").append(name)
        table.add_row(
            "" if node.index is None else str(node.index),
            text,
            *([node.kind] if with_types else []),
            _describe_output(layer),
            *([f"{node.parameters:,}" if node.parameters else ""] if with_parameters else []),
            "◀ default" if layer.default else "",
            style="bold green" if layer.default else "" if layer.usable else "dim",
        )
    return table


def _describe_output(layer: LayerInfo) -> str:
    if layer.output_shape is None:
        return ""
    if layer.grid is None or not layer.grid.are_tokens:
        return _format_shape(layer.output_shape)
    return f"{layer.grid.cells_in_words}, {layer.grid.number_of_channels} channels"


def _format_shape(shape: tuple[int | None, ...]) -> str:
    return "×".join("?" if size is None else str(size) for size in shape)


def info_table(classifier: Classifier) -> Table:
    """Makes the table of a model's input, outputs and defaults, with the reasons for these."""
    layers = classifier.layers()
    defaults = [layer for layer in layers if layer.default]
    default = defaults[0] if defaults else None
    labels = classifier.labels
    names = ", ".join(labels.name(index) for index in range(min(3, len(labels))))
    parameters = classifier.network.parameters
    rows = {
        "model": classifier.name,
        "input": classifier.describe_input(),
        **_input_rows(classifier),
        "preprocessing": classifier.preprocess.description,
        "task": classifier.described_task,
        "outputs": f"{len(labels)} {labels.noun if len(labels) == 1 else labels.plural}: {names}"
        + (", …" if len(labels) > 3 else ""),
        **({"class names": f"from {labels.origin}"} if labels.origin else {}),
        **({} if classifier.decoder is None else {"boxes": classifier.decoder.description}),
        "class score": classifier.describe_score(),
        "default layer" + "s" * (len(defaults) > 1): "none"
        if default is None or default.output_shape is None
        else ", ".join(f"{one.node.path}, {_describe_output(one)}" for one in defaults)
        + f" ({default.reason})",
        "parameters": f"{parameters:,}",
    }
    table = plain_table(("", "left"), ("", "left"))
    table.show_header = False
    for key, value in rows.items():
        table.add_row(Text(key, style="dim"), visible(value))
    return table


def _input_rows(classifier: Classifier) -> dict[str, str]:
    """Returns a row for each input, if there are several."""
    rows = {}
    for described in classifier.describe_inputs():
        how = described.preprocess
        scaled = "" if how is None else f", preprocessing {how.description}"
        role = " (explained)" * described.is_explained
        rows[f"input {described.name}"] = f"{described.takes}{role}{scaled}"
    return rows


def result_lines(result: PictureResult, show_classes: int, width: int) -> Text:
    """Formats the result of one picture: its classes as bars, and the files.

    This avoids Rich's tables, which would take a tenth of the time of explaining the picture.

    Args:
        result: A result without an error.
        show_classes: The number of most probable classes to show. Classes with their own files
            are always shown, and the first five outputs of a regression.
        width: The number of characters in a line. If a file's name doesn't fit beside its class,
            all files are listed below the classes.
    """
    title = Text(visible(str(result.picture.path)), style="bold")
    has_objects = any(target.detected is not None for target in result.targets)
    # The note of a detector says why there are none.
    if has_objects or (result.note and not result.frames):
        return object_lines(result, title, _bar, width)
    are_values = bool(result.predictions) and result.predictions[0].is_value
    if are_values:
        # None of them is more probable than the others.
        show_classes = max(show_classes, _FEWEST_OUTPUTS)
    width_of_class = _OUTPUT_WIDTH if are_values else _CLASS_WIDTH
    # Without files, all targets count: a report or a window shows them.
    with_files = [target for target in result.targets if target.output is not None]
    explained: dict[str, list[ExplainedTarget]] = {}
    for target in with_files or result.targets:
        explained.setdefault(target.prediction.numbers, []).append(target)
    shown = list(result.predictions[:show_classes])
    for target in with_files:
        if target.prediction.numbers not in {prediction.numbers for prediction in shown}:
            shown.append(target.prediction)
    written = {
        numbers: [line for target in of_class for line in _written(target)]
        for numbers, of_class in explained.items()
    }
    room = width - width_of_class
    beside = all(cell_len(line.plain) <= room for lines in written.values() for line in lines)

    for input_name, value in result.picture.values:
        title.append(visible(f"  {input_name} {value}"), style="dim")
    if result.truth is not None:
        if result.is_wrong:
            title.append(f"  ✗ true class: {visible(result.truth.name)}", style="red")
        else:
            title.append("  ✓", style="green")
    if result.frames:
        many = _counted(len(result.frames), result.noun)
        of_which = "of all together" if result.is_whole else "on average"
        title.append(f"  {many} explained; classes {of_which}", style="dim")
    lines = [title]
    for prediction in shown:
        is_explained = prediction.numbers in explained
        name = Text(visible(prediction.name), style="bold" if is_explained else "")
        name.truncate(_NAME_WIDTH, overflow="ellipsis", pad=True)
        row = Text("  ").append_text(name).append(f"  {prediction.numbers:>4}  ", style="dim")
        color = "green" if is_explained else "blue"
        if are_values:
            row.append(f"{prediction.text:>{_VALUE_WIDTH}}", style=color)
        else:
            row.append(_bar(prediction.probability), style=color)
            row.append(f"  {prediction.text:>7}")
        lines.append(row)
        if is_explained and beside:
            for number, line in enumerate(written[prediction.numbers]):
                if number:
                    lines.append(Text(" " * width_of_class).append_text(line))
                else:
                    row.append("  ").append_text(line)
        for target in explained.get(prediction.numbers, ()):
            if target.blank is not None:
                where = f"input {visible(target.input)}: " if target.input else ""
                lines.append(Text(f"  {where}{visible(target.blank.note)}", style="yellow"))
    if result.shown:
        lines.append(Text(f"  {visible(result.shown)}", style="dim"))
    lines += [Text(f"  {line}", style="dim") for line in _about_frames(result)]
    if result.note:
        lines.append(Text(f"  {visible(result.note)}", style="yellow"))
    if not beside:
        below = [line for of_class in written.values() for line in of_class]
        lines += [Text("  ").append_text(line) for line in below]
    lines += [
        Text(f"  → {visible(str(path))}", style="green")
        for path in (*result.composites.values(), result.figure)
        if path is not None
    ]
    return Text("\n").join(lines)


def _about_frames(result: PictureResult) -> list[str]:
    """Says which classes are the most probable in how many pictures of a stack."""
    if not result.frames or result.predictions[0].is_value:
        return []
    numbers = Counter(frame.predictions[0].index for frame in result.frames)
    if len(numbers) == 1:
        return []
    names = {frame.predictions[0].index: frame.predictions[0].name for frame in result.frames}
    listed = [
        f"{visible(names[index])} ({index}) in {number}"
        for index, number in numbers.most_common(_FOREMOST)
    ]
    others = len(numbers) - len(listed)
    more = f" and {others} more" if others > 0 else ""
    return [f"most probable by {result.noun}: {', '.join(listed)}{more}"]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _written(target: ExplainedTarget) -> list[Text]:
    lines = [
        Text(f"→ {visible(str(path))}", style="green")
        for path in (target.output, target.heatmap, target.mask)
        if path is not None
    ]
    if target.region is not None and target.region.box is not None:
        left, top, right, bottom = target.region.box
        lines.append(Text(f"box ({left}, {top})–({right}, {bottom})", style="dim"))
    return lines


def _bar(fraction: float) -> str:
    eighths = round(fraction * _BAR_WIDTH * 8)
    full, part = divmod(eighths, 8)
    bar = _FULL * full + (_EIGHTHS[part] if part else "")
    return (bar or _EIGHTHS[1]).ljust(_BAR_WIDTH)


def result_json(result: PictureResult, explainers: Sequence[ExplainerFacts]) -> str:
    """Converts the result of one picture to a line of JSON."""
    methods = [one.method for one in explainers if one.input == explainers[0].input]
    layers = {one.input: one.layer for one in reversed(explainers)}
    record: dict[str, Any] = {
        "image": str(result.picture.path),
        "model": explainers[0].model,
        "layer": explainers[0].layer or None,
        "method": methods[0] if len(methods) == 1 else methods,
    }
    targets = [_target_record(target, layers) for target in result.targets]
    if explainers[0].detects:
        pairs = zip(targets, result.targets, strict=True)
        record["detections"] = [object_record(*pair) for pair in pairs]
        if result.note:
            record["note"] = result.note
    else:
        record["predictions"] = [_prediction_record(one) for one in result.predictions]
        record["targets"] = targets
    if explainers[0].against is not None:
        index, name = explainers[0].against
        record["against"] = {"index": index, "name": name}
    if result.picture.target is not None:
        record["class"] = result.picture.target
    if result.truth is not None:
        record["truth"] = _prediction_record(result.truth)
        record["correct"] = not result.is_wrong
    if result.picture.values:
        record["inputs"] = dict(result.picture.values)
    if len(result.composites) > 1:
        record["composite"] = {name: str(path) for name, path in result.composites.items()}
    elif result.composite is not None:
        record["composite"] = str(result.composite)
    if result.figure is not None:
        record["figure"] = str(result.figure)
    if result.frames:
        record["unit"] = result.noun
        record["scale"] = result.scale
        if result.shown:
            record["shown"] = result.shown
        if result.note:
            record["note"] = result.note
        record["frames"] = [_frame_record(frame) for frame in result.frames]
    if result.error is not None:
        record["error"] = str(result.error)
    return to_json(record)


def _frame_record(frame: FrameResult) -> dict[str, Any]:
    record: dict[str, Any] = {"frame": frame.number}
    if frame.seconds is not None:
        record["seconds"] = round(frame.seconds, 6)
    if frame.position:
        record["position"] = frame.position
    record["predictions"] = [_prediction_record(one) for one in frame.predictions]
    record["heat"] = [round(height, 4) for height in frame.heat]
    return record


def _prediction_record(prediction: Prediction) -> dict[str, Any]:
    record: dict[str, Any] = {"index": prediction.index, "name": prediction.name}
    if prediction.joined:
        record["joined"] = list(prediction.joined)
    if prediction.wnid is not None:
        record["wnid"] = prediction.wnid
    # JSON has no infinite numbers.
    is_finite = math.isfinite(prediction.probability)
    record[prediction.quantity] = prediction.rounded if is_finite else None
    return record


def _target_record(target: ExplainedTarget, layers: Mapping[str, str]) -> dict[str, Any]:
    """Returns the record of an explained class; layers has the layer of each explained input."""
    record = _prediction_record(target.prediction)
    if target.input:
        record |= {"input": target.input, "layer": layers[target.input] or None}
    if target.output is not None:
        record["output"] = str(target.output)
    if target.heatmap is not None:
        record["heatmap"] = str(target.heatmap)
    if target.mask is not None:
        record["mask"] = str(target.mask)
    if target.region is not None:
        record["region"] = _region_record(target.region)
    if target.blank is not None:
        record["note"] = target.blank.note
        if target.blank.is_blank:
            record["blank"] = str(target.blank.reason)
        else:
            record["unsettled"] = True
    return record


def _region_record(region: Region) -> dict[str, Any]:
    # Maps aren't precise to a tenth of a pixel.
    outlines = [simplify_outline(line).round(1).tolist() for line in region.outlines]
    return {"threshold": region.threshold, "box": region.box, "outlines": outlines}
