"""The results of an audit as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gradcam_cli.analysis.observation import Observation
from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.errors import GradcamError


@dataclass(frozen=True)
class Fraction:
    """A fraction of pictures with its confidence interval.

    Attributes:
        count: The number of pictures that it counts.
        total: The number of all pictures.
        interval: The ends of the 95 % confidence interval, in [0, 1].
    """

    count: int
    total: int
    interval: tuple[float, float]

    @property
    def value(self) -> float:
        """The fraction, in [0, 1]."""
        return self.count / self.total


@dataclass(frozen=True)
class CalibrationBin:
    """The pictures whose confidence lies in one range.

    Attributes:
        low: The lower end of the range.
        high: The upper end.
        count: The number of pictures.
        confidence: Their mean confidence, in [0, 1].
        accuracy: The fraction of them that is right.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far the network is as often right as it claims.

    Attributes:
        error: The expected calibration error (Guo et al. 2017, arXiv 1706.04599), in [0, 1].
        interval: The ends of its 95 % confidence interval, by the basic bootstrap.
        bins: The bins of the reliability diagram that hold pictures, in ascending order.
    """

    error: float
    interval: tuple[float, float]
    bins: Sequence[CalibrationBin]


@dataclass(frozen=True, eq=False)
class MeanMap:
    """Where the network looks on average.

    Attributes:
        class_index: The class; None for all pictures.
        name: Its name; "all pictures" for all.
        count: The number of pictures.
        heat: (`GRID`, `GRID`) float32 in [0, 1], the mean of the maps.
        picture: (`GRID`, `GRID`, 3) uint8, the mean of the pictures.
        border: The fraction of the heat in the outer tenth of the picture, in [0, 1]: the mean
            over the pictures whose map shows something. See `heat_places.border_fraction`.
        corners: The same for the four corners. See `heat_places.corner_fraction`.
        on_object: The fraction of the heat on annotated objects; None without annotations.
    """

    class_index: int | None
    name: str
    count: int
    heat: np.ndarray
    picture: np.ndarray
    border: float
    corners: float
    on_object: float | None = None


@dataclass(frozen=True, eq=False)
class MapGroup:
    """Pictures of one predicted class whose maps are alike.

    Attributes:
        class_index: The class.
        name: Its name.
        pictures: The indices of its pictures in `Audit.observations`.
        heat: (`GRID`, `GRID`) float32 in [0, 1], the mean of its maps.
        picture: (`GRID`, `GRID`, 3) uint8, the mean of its pictures.
        suspicion: Why the place where it looks is suspicious, a clause; "" if it isn't.
        strength: How suspicious it is, in [0, 1]; 0 if it isn't.
    """

    class_index: int
    name: str
    pictures: Sequence[int]
    heat: np.ndarray
    picture: np.ndarray
    suspicion: str = ""
    strength: float = 0.0


@dataclass(frozen=True)
class Duplicates:
    """Pictures that look the same.

    Attributes:
        pictures: Their indices in `Audit.observations`, at least two.
        classes: The names of their true classes, without repetition; of the predicted ones if the
            truth isn't known.
    """

    pictures: Sequence[int]
    classes: Sequence[str]


@dataclass(frozen=True)
class Finding:
    """Something that the user should know.

    Attributes:
        kind: What it is about: "group", "confusion", "calibration", "confident_errors",
            "duplicates", "border", "unreadable" or "empty_class".
        sentence: The finding with its numbers.
        weight: How much it matters, in [0, 1]. Findings are shown in descending order.
        pictures: The indices of its pictures in `Audit.observations`.
    """

    kind: str
    sentence: str
    weight: float
    pictures: Sequence[int] = ()


@dataclass(frozen=True, eq=False)
class Audit:
    """What a folder of pictures says about a network.

    Attributes:
        explainer: The model, the method and the layer.
        observations: What the network said of each picture, in the order of the pictures.
        errors: Why pictures couldn't be explained.
        classes: The names of the model's classes.
        accuracy: The fraction of right predictions; None if no true class is known.
        confusion: For each true and predicted class (indices), the indices of the pictures.
        calibration: None if no true class is known or the scores aren't probabilities.
        confident_errors: The wrong predictions, the most confident first.
        unsure: The right predictions, the least confident first.
        mean_maps: Of all pictures, then of each predicted class in descending order of pictures.
        groups: Groups of maps within a class; empty if they weren't searched for.
        duplicates: Pictures that look the same.
        empty_classes: The names of the classes without pictures.
        findings: What the user should know, most important first.
        notes: What couldn't be examined, and why: sentences.
        failed: The paths of the pictures that couldn't be explained, in the order of `errors`.
    """

    explainer: ExplainerFacts
    observations: Sequence[Observation]
    errors: Sequence[GradcamError]
    classes: Sequence[str]
    accuracy: Fraction | None
    confusion: Mapping[tuple[int, int], Sequence[int]]
    calibration: Calibration | None
    confident_errors: Sequence[int]
    unsure: Sequence[int]
    mean_maps: Sequence[MeanMap]
    groups: Sequence[MapGroup]
    duplicates: Sequence[Duplicates]
    empty_classes: Sequence[str]
    findings: Sequence[Finding]
    notes: Sequence[str] = ()
    failed: Sequence[str] = ()
