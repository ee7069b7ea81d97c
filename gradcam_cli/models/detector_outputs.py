"""Finds boxes and class scores in the outputs of detectors that aren't models of Keras.

Files in formats such as ONNX hold numbers without their meaning, and each family of detectors
arranges them in its own way. The way is found by the names and shapes of the outputs and by the
values for a picture without content. What isn't clear is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradcam_cli.errors import UnsupportedModelError

Outputs = Sequence[np.ndarray]
Size = tuple[int, int]

# In the order of the corners: the left, top, right and bottom edge, and so on.
XYXY, YXYX, XYWH = "xyxy", "yxyx", "xywh"
CENTRE, TURNED_CENTRE = "center_xywh", "center_yxhw"
RELATIVE = "rel_"
_COORDINATES = 4
_RANK = 3
_SUPPORTED = "supported are the forms of YOLOv5 to YOLO26, DETR, and boxes with scores and classes"
# The strides of the grids whose cells each give a box, and the boxes of each cell.
_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32), (8, 16))
_BOXES_OF_CELL = (1, 3)
# Boxes lie on their cells: so much do their places agree, even for a picture without content.
_AGREES = 0.8
# Coordinates as fractions of the input may lie a little outside it; those in pixels are larger.
_LARGEST_FRACTION = 2.0
_ROUNDING = 1e-3
# Ultralytics's networks that segment append so many numbers to each box.
_MASK_NUMBERS = 32
_ROWS_OF_FINAL = 6
_WITH_BATCH_INDEX = 7
# If the file gives neither the number of detections nor that of classes.
_MOST_DETECTIONS, _MOST_CLASSES = 300, 100
# The outputs of the API for object detection of TensorFlow, of which also TensorFlow Lite has some.
_OF_TENSORFLOW = ("detection_boxes", "tflite_detection_postprocess")
_OF_TENSORFLOW_LITE = "statefulpartitionedcall"
_FROM_ONE = "detection_classes"
_OF_DETR = frozenset({"pred_boxes", "dets"})
# Those of torchvision, RT-DETR, TensorRT's exports and the ONNX model zoo.
_OF_CORNERS = frozenset({"boxes", "bboxes", "det_boxes"})
_SIGMOID_OF_DETR = frozenset({"dets"})


@dataclass(frozen=True)
class DetectorOutputs:
    """How the outputs of a detector hold boxes and probabilities.

    Attributes:
        form: What they are, in a few words for the user.
        candidates: A, the number of boxes of each input. Inputs with fewer are filled up with
            boxes of probability 0.
        classes: C, the number of classes.
        read: A function from the outputs for N inputs to boxes, (N, A, 4) float32, and to
            probabilities, (N, A, C) float32 in [0, 1].
        box_format: How the boxes are arranged, one of `gradcam_cli.pictures.boxes.BOX_FORMATS`.
        has_one_class_a_box: Whether only the best class of each box is known, and the number of
            classes is not in the outputs.
        mode: The preprocessing that networks with such outputs usually take, as in
            `gradcam_cli.models.preprocessing.Preprocessing`.
        fit: How they usually take pictures, one of `gradcam_cli.pictures.fitting.FITS`.
        keeps_places: Whether a candidate is a box at about the same place in every picture.
    """

    form: str
    candidates: int
    classes: int
    read: Callable[[Outputs], tuple[np.ndarray, np.ndarray]]
    box_format: str
    has_one_class_a_box: bool = False
    mode: str = "0-1"
    fit: str = "pad"
    keeps_places: bool = False


@dataclass(frozen=True)
class KnownFacts:
    """What is known about a detector beside its outputs.

    Attributes:
        size: (height, width) of its input, in pixels.
        classes: The number of its classes; None if unknown.
        box_format: The arrangement of boxes that the user gave: "xyxy", "yxyx" or "center_xywh",
            with "rel_" before it for fractions of the input; None to find it out.
        is_detector: Whether it is known that it detects objects.
    """

    size: Size
    classes: int | None = None
    box_format: str | None = None
    is_detector: bool = False


def find_outputs(
    path: str, outputs: Mapping[str, np.ndarray], facts: KnownFacts
) -> DetectorOutputs | None:
    """Finds out how a detector's outputs hold boxes and probabilities.

    Args:
        path: The model's file, for messages.
        outputs: What the network gives for one input without content, by name, in its own order.
        facts: What is known beside that.

    Returns:
        The arrangement; None if nothing says that the network detects objects.

    Raises:
        UnsupportedModelError: It detects objects, but its outputs are in no known form, or in
            one of several that can't be told apart.
    """
    found = None
    arrays = [np.asarray(array) for array in outputs.values()]
    if len(arrays) > 1:
        found = _find_separate(path, dict(zip(outputs, arrays, strict=True)), facts)
    if found is None:
        for number, array in enumerate(arrays):
            if array.ndim == 3 and array.shape[0] == 1:
                found = _find_joined(path, number, arrays, facts)
            elif array.ndim == 2 and len(arrays) == 1 and facts.is_detector:
                found = _find_rows_of_batch(array, facts)
            if found is not None:
                break
    if found is None and facts.is_detector:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in outputs.items())
        raise _unsupported(path, f"its outputs are in no known form ({shapes})")
    return found


def _unsupported(path: str, problem: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{path}: {problem}; {_SUPPORTED}")


# One output with boxes and scores side by side.


def _find_joined(
    path: str, number: int, arrays: Outputs, facts: KnownFacts
) -> DetectorOutputs | None:
    array = arrays[number]
    _, rows, columns = array.shape
    for strides in _STRIDES:
        cells, sides = _cells(facts.size, strides)
        for copies in _BOXES_OF_CELL:
            count = len(cells) * copies
            if (rows == count) == (columns == count):
                continue
            is_first = columns == count
            values = array[0].T if is_first else array[0]
            if values.shape[1] <= _COORDINATES:
                continue
            placed = _arrange_on_cells(values[:, :_COORDINATES], cells, sides, copies, facts)
            if placed is not None:
                return _of_grid(path, number, arrays, facts, placed, is_first, copies)
            if facts.is_detector or _is_undecoded(values, copies):
                raise _unsupported(
                    path,
                    "the boxes of its outputs aren't decoded; export it again with decoded boxes "
                    "(YOLOX: --decode_in_inference)",
                )
    arrangement = _arrange_final(array[0], facts) if columns >= _ROWS_OF_FINAL else None
    if arrangement is not None:
        return _of_final_rows(number, array, facts, arrangement)
    if facts.classes is not None and columns == _COORDINATES + facts.classes:
        return _of_queries(path, number, array, facts)
    return None


def _cells(size: Size, strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Lists the centres of all cells, (cells, 2) x and y in pixels, and the sides of each."""
    centres, sides = [], []
    for stride in strides:
        rows, columns = (-(-length // stride) for length in size)
        y, x = np.mgrid[:rows, :columns]
        centres.append((np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * stride)
        sides.append(np.full(rows * columns, stride))
    return np.concatenate(centres), np.concatenate(sides)


def _arrange_on_cells(
    boxes: np.ndarray, cells: np.ndarray, sides: np.ndarray, copies: int, facts: KnownFacts
) -> str | None:
    """Finds the arrangement of boxes that lie on the cells of grids; None if they don't."""
    for centres in _orders(cells, sides, copies):
        agreements = np.array([[_agreement(box, axis) for axis in centres.T] for box in boxes.T])
        if min(agreements[0, 0], agreements[1, 1]) > _AGREES:
            is_swapped = False
        elif min(agreements[0, 1], agreements[1, 0]) > _AGREES:
            is_swapped = True
        else:
            continue
        if facts.box_format is not None:
            return facts.box_format
        is_relative = np.abs(np.median(boxes[:, :2])) <= _LARGEST_FRACTION
        scale = np.array(facts.size[::-1], np.float32) if is_relative else np.ones(2, np.float32)
        prefix = RELATIVE if is_relative else ""
        second = agreements[2:, ::-1] if is_swapped else agreements[2:]
        if min(second[0, 0], second[1, 1]) > _AGREES:
            return prefix + (YXYX if is_swapped else XYXY)
        lengths = boxes[:, 2:] * scale
        off = np.median(boxes[:, :2] * scale - centres, axis=0)
        is_centred = np.all(np.abs(off) < np.maximum(np.median(lengths, axis=0) / 4, 1))
        if not is_swapped and np.all(lengths >= 0) and is_centred:
            return prefix + CENTRE
    return None


def _orders(cells: np.ndarray, sides: np.ndarray, copies: int) -> list[np.ndarray]:
    """Gives the orders in which networks list the boxes of all cells, each (boxes, 2)."""
    orders = []
    for strides in (np.unique(sides), np.unique(sides)[::-1]):
        levels = [cells[sides == stride] for stride in strides]
        orders.append(np.concatenate([np.tile(level, (copies, 1)) for level in levels]))
        if copies > 1:
            orders.append(np.concatenate([np.repeat(level, copies, axis=0) for level in levels]))
    return orders


def _agreement(values: np.ndarray, places: np.ndarray) -> float:
    """Returns the correlation of two lists of numbers; 0 if one is constant."""
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all() or np.ptp(values) == 0:
        return 0.0
    return float(np.corrcoef(values, places)[0, 1])


def _is_undecoded(values: np.ndarray, copies: int) -> bool:
    """Returns whether rows look like those of YOLOX: offsets within a cell, and an objectness."""
    boxes, scores = values[:, :_COORDINATES], values[:, _COORDINATES:]
    # Logarithms of sizes are negative, fractions of the input are not.
    is_small = np.abs(np.median(boxes)) < _LARGEST_FRACTION and bool(np.any(boxes < 0))
    return copies == 1 and bool(is_small) and _in_unit(scores)


def _of_grid(
    path: str,
    number: int,
    arrays: Outputs,
    facts: KnownFacts,
    arrangement: str,
    is_first: bool,
    copies: int,
) -> DetectorOutputs:
    array = arrays[number]
    candidates = array.shape[2 if is_first else 1]
    scores = array.shape[1 if is_first else 2] - _COORDINATES
    has_masks = any(one.ndim == 4 and one.shape[1] == _MASK_NUMBERS for one in arrays)
    known = facts.classes
    if known is None and is_first:
        known = scores - _MASK_NUMBERS if has_masks else scores
    has_objectness = copies > 1
    if not is_first and not has_objectness:
        if known is None:
            raise UnsupportedModelError(
                f"{path}: each box has {scores} scores, of which the first may stand for any "
                f"object; name the classes with --labels FILE"
            )
        has_objectness = known == scores - 1
    if known is None:
        known = scores - 1 - (_MASK_NUMBERS if has_masks else 0)
    start = _COORDINATES + has_objectness
    rest = scores - has_objectness - known
    if known < 1 or rest < 0 or (rest and not (facts.is_detector or has_masks)):
        raise UnsupportedModelError(
            f"{path}: its boxes have the scores of {scores - has_objectness} classes, but there "
            f"are {known} names; give the names of all with --labels FILE"
        )
    used = np.moveaxis(array, 1, 2) if is_first else array
    if not _in_unit(used[..., _COORDINATES : start + known]):
        raise _unsupported(path, "the scores of its boxes aren't probabilities in [0, 1]")

    def read(outputs: Outputs) -> tuple[np.ndarray, np.ndarray]:
        values = np.asarray(outputs[number], np.float32)
        values = np.moveaxis(values, 1, 2) if is_first else values
        probabilities = values[..., start : start + known]
        if has_objectness:
            probabilities = probabilities * values[..., _COORDINATES:start]
        boxes = np.asarray(values[..., :_COORDINATES], np.float32)
        return boxes, np.clip(probabilities, 0, 1)

    form = (
        "objectness and class probabilities, as in YOLOv5"
        if has_objectness
        else "class probabilities, as in YOLOv8"
    )
    return DetectorOutputs(f"box, {form}", candidates, known, read, arrangement, keeps_places=True)


def _in_unit(values: np.ndarray) -> bool:
    return bool(np.all((values >= -_ROUNDING) & (values <= 1 + _ROUNDING)))


def _arrange_final(rows: np.ndarray, facts: KnownFacts) -> str | None:
    """Finds the arrangement of boxes that are followed by a score and a class; None for others."""
    boxes, scores, classes = rows[:, :_COORDINATES], rows[:, 4], rows[:, 5]
    are_final = (
        bool(np.isfinite(boxes).all())
        and _in_unit(scores)
        and bool(np.all((classes == np.round(classes)) & (classes >= 0)))
        # A network of which nothing is known might give zeros for a picture without content.
        and (bool(np.any(boxes != 0)) or facts.is_detector)
    )
    if not are_final or facts.box_format is not None:
        return facts.box_format if are_final else None
    if np.all(boxes[:, 2:] >= boxes[:, :2] - _ROUNDING):
        is_relative = bool(boxes.any()) and np.abs(boxes).max() <= _LARGEST_FRACTION
        return (RELATIVE if is_relative else "") + XYXY
    return RELATIVE + CENTRE if _in_unit(boxes) and facts.is_detector else None


def _of_final_rows(
    number: int, array: np.ndarray, facts: KnownFacts, arrangement: str
) -> DetectorOutputs:
    classes = facts.classes or _MOST_CLASSES
    candidates = array.shape[1]

    def read(outputs: Outputs) -> tuple[np.ndarray, np.ndarray]:
        values = np.asarray(outputs[number], np.float32)
        boxes = np.asarray(values[..., :_COORDINATES], np.float32)
        return boxes, spread_over_classes(values[..., 4], values[..., 5], classes)

    return DetectorOutputs(
        "box, score and class, as in YOLOv10 and YOLO26",
        *(candidates, classes, read, arrangement),
        has_one_class_a_box=True,
    )


def _of_queries(
    path: str, number: int, array: np.ndarray, facts: KnownFacts
) -> DetectorOutputs | None:
    boxes, scores = array[..., :_COORDINATES], array[..., _COORDINATES:]
    if not _in_unit(scores):
        return None
    arrangement = facts.box_format
    if arrangement is None:
        if not facts.is_detector:
            return None
        is_corners = bool(np.all(boxes[..., 2:] >= boxes[..., :2]))
        if is_corners or not _in_unit(boxes):
            raise UnsupportedModelError(
                f"{path}: the boxes of its output {array.shape} may be corners or centres; say "
                f"which with --box-format"
            )
        arrangement = RELATIVE + CENTRE

    def read(outputs: Outputs) -> tuple[np.ndarray, np.ndarray]:
        values = np.asarray(outputs[number], np.float32)
        boxes = np.asarray(values[..., :_COORDINATES], np.float32)
        return boxes, np.clip(values[..., _COORDINATES:], 0, 1)

    form = "boxes and class probabilities side by side"
    return DetectorOutputs(form, array.shape[1], array.shape[2] - _COORDINATES, read, arrangement)


def _find_rows_of_batch(array: np.ndarray, facts: KnownFacts) -> DetectorOutputs | None:
    if array.shape[1] != _WITH_BATCH_INDEX:
        return None
    pictures, classes_given, scores = array[:, 0], array[:, 5], array[:, 6]
    # Seven scores of a classifier look like a single box.
    if pictures.any() or np.any(classes_given != np.round(classes_given)) or not _in_unit(scores):
        return None
    arrangement = facts.box_format or XYXY
    classes = facts.classes or _MOST_CLASSES

    def read(outputs: Outputs) -> tuple[np.ndarray, np.ndarray]:
        values = np.asarray(outputs[0], np.float32)[None]
        boxes = np.asarray(values[..., 1:5], np.float32)
        return _filled_up(boxes, values[..., 6], values[..., 5], classes, _MOST_DETECTIONS)

    return DetectorOutputs(
        "number of the picture, box, class and score, as in YOLOv7",
        *(_MOST_DETECTIONS, classes, read, arrangement),
        has_one_class_a_box=True,
    )


# Boxes in an output of their own.


def _find_separate(
    path: str, outputs: Mapping[str, np.ndarray], facts: KnownFacts
) -> DetectorOutputs | None:
    names = list(outputs)
    shaped = [
        name
        for name, array in outputs.items()
        if array.ndim in (2, 3) and array.shape[-1] == _COORDINATES
    ]
    named = [name for name in shaped if "box" in name.lower() or name in _OF_DETR]
    boxes_name = (named or shaped or [""])[0]
    if not boxes_name or len(named or shaped) > 1:
        return None
    boxes = outputs[boxes_name]
    others = {name: array for name, array in outputs.items() if name != boxes_name}
    place = names.index(boxes_name)
    for name, array in others.items():
        is_vector = array.shape[-1:] != (1,) or len(others) == 1
        if boxes.ndim == _RANK and _has_row_for_each(boxes, array) and is_vector:
            return _of_class_vectors(path, place, names.index(name), outputs, facts)
    return _of_single_classes(path, place, outputs, facts)


def _has_row_for_each(boxes: np.ndarray, array: np.ndarray) -> bool:
    """Returns whether an output has several numbers for each box, maybe as rows and columns."""
    count = boxes.shape[1]
    return array.ndim >= _RANK and count == np.prod(array.shape[1:-1]) and len(array) == 1


def _of_class_vectors(
    path: str, place: int, scored: int, outputs: Mapping[str, np.ndarray], facts: KnownFacts
) -> DetectorOutputs:
    arrays, names = list(outputs.values()), list(outputs)
    boxes = arrays[place]
    scores = arrays[scored].reshape(1, boxes.shape[1], -1)
    arrangement = facts.box_format or _named_arrangement(path, names[place], boxes)
    columns, known = scores.shape[-1], facts.classes
    is_softmax = False
    dropped: int | None = None
    if _in_unit(scores):
        if columns > 1 and np.allclose(scores.sum(-1), 1, atol=_ROUNDING):
            dropped = _background_of(path, scores[0])
        activate = _as_they_are
    else:
        if known is None and names[place] not in _SIGMOID_OF_DETR:
            raise UnsupportedModelError(
                f"{path}: its output {names[scored]} has {columns} scores for each box, of which "
                f"the last may stand for no object; name the classes with --labels FILE"
            )
        is_softmax = known == columns - 1
        dropped = columns - 1 if is_softmax else None
        activate = _softmax if is_softmax else _sigmoid
    classes = columns - (dropped is not None)
    if known is not None and known not in (classes, columns):
        raise UnsupportedModelError(
            f"{path}: its output {names[scored]} has the scores of {columns} classes, but there "
            f"are {known} names; give the names of all with --labels FILE"
        )
    if known == columns:
        dropped, classes = None, columns
    without = dropped

    def read(outputs: Outputs) -> tuple[np.ndarray, np.ndarray]:
        values = np.asarray(outputs[scored], np.float32)
        # TensorFlow Lite may leave out the step that makes one row of all places.
        probabilities = activate(values.reshape(len(values), -1, columns))
        if without is not None:
            probabilities = np.delete(probabilities, without, axis=-1)
        boxes = np.asarray(outputs[place], np.float32)
        return boxes, np.clip(probabilities, 0, 1)

    form = f"boxes in {names[place]}, scores in {names[scored]}"
    if dropped is not None:
        form += f", without its {'first' if dropped == 0 else 'last'} column, which is no object"
    found = DetectorOutputs(form, boxes.shape[1], classes, read, arrangement)
    return replace(found, mode="torch", fit="squash") if names[place] in _OF_DETR else found


def _as_they_are(values: np.ndarray) -> np.ndarray:
    return values


def _sigmoid(values: np.ndarray) -> np.ndarray:
    # exp of a large number would overflow.
    return (np.tanh(values / 2) + 1) / 2


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def _background_of(path: str, scores: np.ndarray) -> int:
    """Finds the column that stands for no object, where each row sums to 1."""
    means = scores.mean(axis=0)
    for column in (0, len(means) - 1):
        # A picture without content has hardly any objects.
        if means[column] > 1 / 2:
            return column
    raise _unsupported(
        path, "the scores of each box sum to 1, and none of them seems to stand for no object"
    )


def _named_arrangement(path: str, name: str, boxes: np.ndarray, *, is_counted: bool = False) -> str:
    """Says how boxes in an output of a known name are arranged.

    Args:
        path: The model's file, for messages.
        name: The name of the output.
        boxes: Its values, (..., 4).
        is_counted: Whether another output has the number of boxes.

    Raises:
        UnsupportedModelError: The name isn't known, or the values don't fit.
    """
    if _is_of_tensorflow(name, is_counted=is_counted):
        return RELATIVE + YXYX
    if name in _OF_DETR:
        return RELATIVE + CENTRE
    are_corners = bool(np.all(boxes[..., 2:] >= boxes[..., :2] - _ROUNDING))
    if name not in _OF_CORNERS or not are_corners:
        raise UnsupportedModelError(
            f"{path}: nothing says how the boxes in its output {name} are arranged; add "
            f"--box-format, for example --box-format {XYXY} for left, top, right and bottom in "
            f"pixels"
        )
    is_relative = boxes.size > 0 and np.abs(boxes).max() <= _LARGEST_FRACTION
    return (RELATIVE if is_relative else "") + XYXY


def _is_of_tensorflow(name: str, *, is_counted: bool) -> bool:
    lowered = name.lower()
    # TensorFlow Lite gives this name to all outputs, but hardly any other network counts its boxes.
    is_lite = is_counted and lowered.startswith(_OF_TENSORFLOW_LITE)
    return is_lite or lowered.startswith(_OF_TENSORFLOW)


def _of_single_classes(
    path: str, place: int, outputs: Mapping[str, np.ndarray], facts: KnownFacts
) -> DetectorOutputs | None:
    names, arrays = list(outputs), list(outputs.values())
    boxes = arrays[place]
    count = boxes.shape[-2]
    is_per_box = {
        number: array.ndim in (boxes.ndim - 1, boxes.ndim)
        and array.size == count
        and _counts(names[number]) is False
        for number, array in enumerate(arrays)
        if number != place
    }
    per_box = [number for number, is_one in is_per_box.items() if is_one]
    if len(per_box) != 2:
        return None
    classes_place = _classes_place(path, per_box, names, arrays)
    (scores_place,) = (number for number in per_box if number != classes_place)
    counts_place = next(
        (
            number
            for number, is_one in is_per_box.items()
            if not is_one and arrays[number].size == 1
        ),
        None,
    )
    arrangement = facts.box_format or _named_arrangement(
        path, names[place], boxes, is_counted=counts_place is not None
    )
    first = 1 if names[classes_place].lower().startswith(_FROM_ONE) else 0
    classes = facts.classes or _MOST_CLASSES

    def read(outputs: Outputs) -> tuple[np.ndarray, np.ndarray]:
        boxes = np.asarray(outputs[place].reshape(1, -1, _COORDINATES), np.float32)
        scores = np.asarray(outputs[scores_place], np.float32).reshape(1, -1)
        numbers = np.asarray(outputs[classes_place], np.float32).reshape(1, -1) - first
        if counts_place is not None:
            valid = int(np.ravel(outputs[counts_place])[0])
            boxes, scores, numbers = (array[:, :valid] for array in (boxes, scores, numbers))
        return _filled_up(boxes, scores, numbers, classes, candidates)

    candidates = max(count, _MOST_DETECTIONS)
    form = (
        f"boxes in {names[place]}, scores in {names[scores_place]}, classes in "
        f"{names[classes_place]}"
    )
    if first:
        form += ", counted from 1"
    found = DetectorOutputs(
        form,
        *(candidates, classes, read, arrangement),
        has_one_class_a_box=True,
    )
    is_tensorflow = _is_of_tensorflow(names[place], is_counted=counts_place is not None)
    return replace(found, mode="-1-1", fit="squash") if is_tensorflow else found


def _counts(name: str) -> bool:
    return "num" in name.lower() or "count" in name.lower()


def _classes_place(path: str, places: Sequence[int], names: Sequence[str], arrays: Outputs) -> int:
    """Finds which of two outputs holds the classes and not the scores."""
    for number in places:
        name = names[number].lower()
        # The operation of TensorFlow Lite returns boxes, classes, scores and their number.
        if "class" in name or "label" in name or name == f"{_OF_TENSORFLOW[1]}:1":
            return number
    integers = [number for number in places if arrays[number].dtype.kind in "iu"]
    if len(integers) == 1:
        return integers[0]
    whole = [number for number in places if np.all(arrays[number] == np.round(arrays[number]))]
    if len(whole) == 1:
        return whole[0]
    raise _unsupported(
        path, f"its outputs {' and '.join(names[number] for number in places)} look alike"
    )


def spread_over_classes(scores: np.ndarray, numbers: np.ndarray, classes: int) -> np.ndarray:
    """Makes class probabilities of the best class of each box.

    Args:
        scores: (N, A), the probabilities of these classes.
        numbers: (N, A), the classes; other numbers than those of classes only with a score of 0.
        classes: C, the number of classes.

    Returns:
        (N, A, C) float32, 0 for all other classes.

    Raises:
        UnsupportedModelError: A box has a class that there isn't.
    """
    numbers = np.round(numbers).astype(np.int64)
    is_known = (numbers >= 0) & (numbers < classes)
    if np.any(~is_known & (scores > 0)):
        worst = int(numbers[~is_known & (scores > 0)].flat[0])
        raise UnsupportedModelError(
            f"the detector gives class {worst}, but only {classes} are known, 0 to {classes - 1}; "
            f"name all classes with --labels FILE"
        )
    probabilities = np.zeros((*scores.shape, classes), np.float32)
    chosen = np.where(is_known, numbers, 0)[..., None]
    values = np.where(is_known, scores, 0)[..., None].astype(np.float32)
    np.put_along_axis(probabilities, chosen, np.clip(values, 0, 1), axis=-1)
    return probabilities


def _filled_up(
    corners: np.ndarray, scores: np.ndarray, numbers: np.ndarray, classes: int, candidates: int
) -> tuple[np.ndarray, np.ndarray]:
    """Brings boxes of one input to a fixed number; of too many, the best are kept."""
    order = np.argsort(-scores[0], kind="stable")[:candidates]
    probabilities = spread_over_classes(scores[:, order], numbers[:, order], classes)
    missing = ((0, 0), (0, candidates - len(order)), (0, 0))
    return np.pad(corners[:, order], missing), np.pad(probabilities, missing)
