"""The names of a run's results, chosen so that results of other runs stay.

Each option that changes a result and isn't at its default is part of the name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gradcam_cli.cam.methods.table import DEFAULT_METHOD
from gradcam_cli.errors import UsageError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.name_pattern import (
    CLASS,
    LAYER,
    METHOD,
    MODEL,
    STEM,
    STEM_FIELD,
    NamePattern,
    name_part,
)
from gradcam_cli.files.naming import result_folder
from gradcam_cli.files.storage import AnyPath
from gradcam_cli.models.catalogue import (
    DEFAULT_MODEL,
    MODELS_BY_LAYER,
    find_model,
    is_model_path,
)
from gradcam_cli.models.input_choice import parse_inputs
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.score_regions import ScoreRegion
from gradcam_cli.run.options import (
    COMMON_SCALE,
    DEFAULT_EACH,
    DrawOptions,
    ExplainOptions,
    StackOptions,
    WriteOptions,
)

# In bytes. With the class and the extension, this leaves space for the picture's name.
_LONGEST_VARIANT = 90
_LONGEST_CLASS = 32


@dataclass(frozen=True)
class ResultNames:
    """What the names of a run's results have in common.

    Attributes:
        pattern: The user's pattern; None for the default names.
        methods: The names of the methods. Overlays are written for the first one.
        layer: The explained layer, in the form for file names.
        model: The model, in the form for file names.
        variant: The options that aren't at their defaults, in the form for file names; "" if there
            are none.
        identity: The exact values of these options, for the mark in a file. Results with another
            identity aren't replaced.
        names_classes: Whether every name contains the classes, because the user chose them.
        view: The explained input, in the form for file names; "" if the name doesn't contain it.
    """

    pattern: NamePattern | None = None
    methods: Sequence[str] = (DEFAULT_METHOD,)
    layer: str = ""
    model: str = ""
    variant: str = ""
    identity: str = ""
    names_classes: bool = False
    view: str = ""

    def with_values(self, words: str) -> ResultNames:
        """Returns the names for a picture with these values of other inputs.

        Args:
            words: The values, in the form for file names; "" if there are none.
        """
        return replace(self, variant=_joined(self.variant, words)[1:]) if words else self

    def of_stacks(self, options: StackOptions) -> ResultNames:
        """Returns the names for files of several pictures.

        Args:
            options: What is explained in such files.
        """
        choices: list[tuple[str, object]] = [
            (_range_word(options.frames), options.frames),
            _unless_default("every", options.every, 1),
            _unless_default("scale-", options.scale, COMMON_SCALE),
        ]
        # As above: given options only.
        if options.slices is not None:
            choices.append((_range_word(options.slices, "slices"), ("slices", options.slices)))
        turns = (options.plane, options.orientation)
        choices += [(word, word) for word in turns if word is not None]
        words = name_part("_".join(word for word, _ in choices if word))
        return replace(
            self,
            variant=_joined(self.variant, words)[1:],
            identity=self.identity + repr(("stack", [value for _, value in choices])),
        )

    def showing(self, view: str, *, is_first: bool) -> ResultNames:
        """Returns the names for an explained input.

        Args:
            view: Its name; "" if the network has only one for pictures.
            is_first: Whether it is the first. The user's pattern stands for that one alone.
        """
        is_exact = self.pattern is not None and is_first
        return self if is_exact or not view else replace(self, view=name_part(view))

    def overlay(self, classes: str) -> str:
        """Returns the name of an overlay without extension, with "{stem}" for the picture's name.

        Args:
            classes: The class that it shows, in the form for file names; "" if the name doesn't
                contain it.
        """
        return self._name(self.methods[:1], classes, "")

    def sheet(self, classes: str) -> str:
        """Returns the name of a sheet of several methods, in the same form."""
        return self._name(self.methods, classes, "")

    def figure(self, classes: str) -> str:
        """Returns the name of a figure, in the same form."""
        return self._name(self.methods, classes, "_figure")

    def composite(self, classes: str) -> str:
        """Returns the name of a composite of several classes, in the same form."""
        return self._name(self.methods[:1], classes, "_composite")

    def heatmap(self, classes: str) -> str:
        """Returns the name of a map alone, in the same form."""
        if self.pattern is not None:
            return self._name(self.methods[:1], classes, "_heatmap")
        method = "" if self.methods[0] == DEFAULT_METHOD else f"_{self.methods[0]}"
        return f"{STEM_FIELD}_heatmap{method}{_joined(self.variant, classes, self.view)}"

    def mask(self, classes: str) -> str:
        """Returns the name of the mask of a map, in the same form."""
        return self._name(self.methods[:1], classes, "_mask")

    def _name(self, methods: Sequence[str], classes: str, kind: str) -> str:
        method = name_part("+".join(methods))
        if self.pattern is None:
            return f"{STEM_FIELD}_{method}{_joined(self.variant, classes, self.view)}{kind}"
        values = {METHOD: method, LAYER: self.layer, MODEL: self.model, CLASS: classes}
        return f"{self.pattern.fill(values)}{_joined(self.view)}{kind}"


def result_names(
    model: ModelOptions,
    explain: ExplainOptions,
    draw: DrawOptions,
    write: WriteOptions,
    layer: str,
    against: tuple[int, str] | None = None,
    window: str | None = None,
) -> ResultNames:
    """Derives what the names of a run's results have in common.

    Args:
        model: What to load.
        explain: What to explain.
        draw: What to draw.
        write: Where to write.
        layer: The layer that is explained.
        against: The index and the name of the class whose score is subtracted; None for none.
        window: The window of medical pictures; None for that of each file.
    """
    drawn = DrawOptions(signed=draw.signed)
    size = model.size or ()
    choices: list[tuple[str, object]] = [
        _model_choice(model.name, explain.layers),
        (_stem(model.weights), None if model.weights is None else os.path.abspath(model.weights)),
        (model.output or "", model.output),
        (model.task or "", model.task),
        (model.preprocess or "", model.preprocess),
        ("x".join(map(str, dict.fromkeys(size))), model.size),
        # Names say which input a file shows, and the values are those of each picture.
        ("", parse_inputs(model.inputs).explained or None),
        ("+".join(map(_layer_word, explain.layers)), tuple(explain.layers)),
        (explain.fusion or "", explain.fusion),
        ("smooth" * explain.smooth, explain.smooth),
        (explain.fit or "", explain.fit),
        *_region_choices(explain.region),
        _unless_default("top", explain.top_k if explain.each else None, DEFAULT_EACH),
        _unless_default("", draw.colormap, drawn.colors),
        _unless_default("alpha", draw.alpha, drawn.opacity),
        ("contour" * draw.contour, draw.contour),
        ("box" * draw.box, draw.box),
        _unless_default("threshold", draw.threshold, drawn.region_from),
    ]
    # Newer options come last and only if given, so that earlier results keep their identity.
    if draw.signed:
        choices.append(("signed", "signed"))
    if draw.hot_only:
        choices.append(("hot-only", "hot-only"))
    if explain.join:
        choices.append(("join", "join"))
    if against is not None:
        choices.append((f"against_{class_word(*against)}", ("against", against[0])))
    if window is not None:
        choices.append((f"window-{window.replace(',', '-')}", ("window", window)))
    if explain.min_score is not None:
        choices.append((f"score{explain.min_score:g}", ("min-score", explain.min_score)))
    if model.box_format is not None:
        choices.append((model.box_format, ("box-format", model.box_format)))
    return ResultNames(
        pattern=None if write.name is None else NamePattern(write.name),
        methods=explain.methods,
        layer=name_part(layer),
        model=name_part(_model_word(model.name)),
        variant=name_part("_".join(word for word, _ in choices if word), _LONGEST_VARIANT),
        identity=repr([value for _, value in choices]) if any(v for _, v in choices) else "",
        names_classes=bool(explain.classes),
    )


def class_word(index: int, name: str) -> str:
    """Converts a class to a part of a file name that is valid on any file system: "281-tabby".

    Args:
        index: Its index.
        name: Its name.
    """
    return f"{index}-{name_part(name.casefold().replace('+', '-'), _LONGEST_CLASS)}"


def check_names(
    pictures: Iterable[InputPicture],
    write: WriteOptions,
    one_a_class: bool,
    classes_are_known: bool,
) -> None:
    """Refuses a pattern that would give several files the same name.

    Args:
        pictures: All pictures of the run.
        write: The folder for results and the pattern for their names.
        one_a_class: Whether each of several classes gets its own file.
        classes_are_known: Whether the user chose the classes.

    Raises:
        UsageError: Several files would have the same name, the pattern isn't valid, or it needs
            the predicted class before the run (with ``--skip-existing``).
    """
    if write.name is None:
        return
    pattern, option = NamePattern(write.name), f"--name {write.name!r}"
    if one_a_class and not pattern.has(CLASS):
        raise UsageError(
            f"{option} gives the overlays of several classes the same name; add {{class}} to it"
        )
    if write.skip_existing and pattern.has(CLASS) and not classes_are_known:
        raise UsageError(
            f"{option}: --skip-existing can't know the predicted class in advance; leave out "
            f"{{class}} or --skip-existing"
        )
    given: set[tuple[AnyPath, str | None, str | None]] = set()
    values: dict[tuple[AnyPath, str | None, str | None], InputPicture] = {}
    for picture in pictures:
        folder = result_folder(picture, write.out)
        place = str(picture.path) if pattern.has(STEM) else None
        target = picture.target if pattern.has(CLASS) else None
        name = (folder, place, target)
        if name in given and place is not None and values[name].values != picture.values:
            raise UsageError(
                f"{option} gives the results for several values of {picture.path} the same name; "
                f"leave out --name"
            )
        values.setdefault(name, picture)
        if name in given:
            field = STEM if place is None else CLASS
            raise UsageError(
                f"{option} gives several results in {folder} the same name; add {{{field}}} to it"
            )
        given.add(name)


def _model_choice(name: str, layers: Sequence[str | int]) -> tuple[str, object]:
    if is_model_path(name):
        # Two models may have files with the same name.
        return _model_word(name), os.path.abspath(name)
    name = find_model(name).name
    # A layer that only one model has implies that model.
    implied = MODELS_BY_LAYER.get(str(layers[0])) if layers else None
    return ("", None) if (name,) == (implied or (DEFAULT_MODEL,)) else (name, name)


def _region_choices(text: str | None) -> list[tuple[str, object]]:
    if text is None:
        return []
    region = ScoreRegion(text)
    return [(region.word, region.identity)]


def _model_word(name: str) -> str:
    return Path(name).name.partition(".")[0] if is_model_path(name) else find_model(name).name


def _stem(path: Path | None) -> str:
    return "" if path is None else path.name.partition(".")[0]


def _layer_word(layer: str | int) -> str:
    return f"layer{layer}" if isinstance(layer, int) else layer


def _range_word(numbers: slice | None, of: str = "frames") -> str:
    if numbers is None:
        return ""
    start = 0 if numbers.start is None else numbers.start
    return f"{of}{start}-{'end' if numbers.stop is None else numbers.stop}"


def _unless_default(word: str, value: object, default: object) -> tuple[str, object]:
    return ("", None) if value is None or value == default else (f"{word}{value}", value)


def _joined(*words: str) -> str:
    return "".join(f"_{word}" for word in words if word)
