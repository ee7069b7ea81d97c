"""Compares two networks, methods or layers on the same pictures."""

from __future__ import annotations

import contextlib
import gc
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from gradcam_cli.analysis.class_matching import ClassMatch, match_classes
from gradcam_cli.analysis.comparison import ComparedPicture, Comparison, Side
from gradcam_cli.analysis.map_agreement import hottest_overlap, rank_correlation
from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.errors import (
    GradcamError,
    UnknownClassError,
    UnknownLayerError,
    UnusableLayerError,
    UsageError,
)
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.labels import Labels, Prediction
from gradcam_cli.networks.tasks import MULTILABEL
from gradcam_cli.pictures.fitting import lay_placed
from gradcam_cli.rendering.overlay import draw_heatmap
from gradcam_cli.rendering.report import ReportPicture
from gradcam_cli.run.comparison_plan import ComparisonPlan
from gradcam_cli.run.job import Job
from gradcam_cli.run.ready_job import ReadyJob, load_model_of, make_ready
from gradcam_cli.run.records import PictureResult
from gradcam_cli.run.truth import TruthNames
from gradcam_cli.run.whole_pictures import check_whole_pictures
from gradcam_cli.runtime.cores import divide_cores

if TYPE_CHECKING:
    pass

Progress = Callable[[int], None]

# Twice as large as it is drawn, so that what its compression leaves isn't seen.
DRAWN_SIDE = 720
# Explaining so many takes longer than loading a network once more.
_MANY = 50
# Who asks what of a picture; see `check_whole_pictures`.
COMPARES = ("compare", "what")
_CUTTING_FITS = ("crop", "cover")


@dataclass(frozen=True, eq=False)
class DrawnPicture:
    """A picture with both maps, at the size at which they are drawn.

    Attributes:
        number: Its index in `Comparison.pictures`.
        image: The picture, mode "RGB".
        heats: The maps of both sides, (height, width) float32 in [0, 1], of its size.
    """

    number: int
    image: Image.Image
    heats: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class OpenNetwork:
    """A network that can explain pictures.

    Attributes:
        labels: Its classes.
        pictures: All pictures, with the values of its other inputs.
        find_doubts: Says why its results may be meaningless, in sentences; explains some pictures.
        facts: Its explainers; filled at the latest when it explains the first picture.
        run: Explains pictures, with what a report shows or without.
    """

    labels: Labels
    pictures: Sequence[InputPicture]
    find_doubts: Callable[[], Sequence[str]]
    facts: list[ExplainerFacts]
    run: Callable[[Sequence[InputPicture], bool], Iterator[PictureResult]]

    def explain(
        self, pictures: Mapping[int, InputPicture], with_cards: bool = False
    ) -> Iterator[tuple[int, PictureResult]]:
        """Explains pictures, and yields the number of each with its result."""
        if not pictures:
            return
        numbers = {picture.key: number for number, picture in pictures.items()}
        for result in self.run(list(pictures.values()), with_cards):
            yield numbers[result.picture.key], result


class Opener(Protocol):
    """Opens a network for as long as a context lasts."""

    def __call__(
        self, job: Job, pictures: Sequence[InputPicture], truth: TruthNames | None
    ) -> contextlib.AbstractContextManager[OpenNetwork]:
        """Opens the network of a job.

        Args:
            job: The job.
            pictures: All pictures.
            truth: The names of their true classes.
        """


def compare_pictures(
    plan: ComparisonPlan,
    pictures: Sequence[InputPicture],
    opener: Opener,
    truth: TruthNames | None = None,
    progress: Progress | None = None,
    choose_drawn: Callable[[Comparison], Sequence[int]] | None = None,
) -> tuple[Comparison, list[DrawnPicture]]:
    """Compares two networks, methods or layers on pictures.

    Two networks are loaded one after the other. Of each picture, little is kept: the predictions,
    and a map of 32 x 32 cells.

    Args:
        plan: What to compare.
        pictures: The pictures.
        opener: Opens a network, such as `opened_here`.
        truth: The names of the true classes; None if they aren't known.
        progress: Called with the number of pictures that one network has explained since the
            last call.
        choose_drawn: Chooses the pictures to draw, as indices in `Comparison.pictures`. They are
            explained once more. None for no picture.

    Returns:
        The comparison, and the pictures to draw with their maps.

    Raises:
        GradcamError: A model can't be loaded, the options don't suit it, or the models have
            nothing to compare; see `gradcam_cli.errors` for the subclasses.
    """
    if truth is not None and not plan.jobs[0].explain.classes:
        pictures = [_explaining_truth(picture, truth) for picture in pictures]
    comparer = _Comparer(
        *(plan, pictures, opener, truth),
        progress or (lambda _: None),
        choose_drawn or (lambda _: ()),
    )
    return comparer.compare_networks() if len(plan.jobs) > 1 else comparer.compare_explainers()


@dataclass(frozen=True, eq=False)
class _Comparer:
    """The arguments of `compare_pictures`, and the errors of pictures so far."""

    plan: ComparisonPlan
    pictures: Sequence[InputPicture]
    opener: Opener
    truth: TruthNames | None
    progress: Progress
    choose_drawn: Callable[[Comparison], Sequence[int]]
    errors: dict[str, GradcamError] = field(default_factory=dict)

    def compare_explainers(self) -> tuple[Comparison, list[DrawnPicture]]:
        """Compares two methods or layers of one network."""
        pairs: dict[int, _Pair] = {}
        with self.opener(self.plan.jobs[0], self.pictures, self.truth) as network:
            for number, result in self._explain(network, dict(enumerate(network.pictures))):
                pairs[number] = _Pair(_see(result), _see(result, 1), same_prediction=True)
            sides = self.plan.sides(network.facts)
            comparison, numbers = self._conclude(sides, pairs, network.find_doubts())
            chosen = self.choose_drawn(comparison)
            asked = {place: network.pictures[numbers[place]] for place in chosen}
            shown = _show(network, asked)
        return comparison, _in_order(
            {place: (one.image, one.heats[0], one.heats[1]) for place, one in shown.items()},
            chosen,
        )

    def compare_networks(self) -> tuple[Comparison, list[DrawnPicture]]:
        """Compares two networks, of which one at a time is in memory."""
        names = self.plan.names
        seen: dict[int, _Seen] = {}
        second_labels = None
        if len(self.pictures) >= _MANY:
            # What is wrong with the second is said before the first explains them all.
            with self._opened(1) as network:
                second_labels = network.labels
        with self._opened(0) as network:
            labels, notes = network.labels, network.find_doubts()
            if second_labels is not None:
                match_classes((labels, second_labels), names)
            for number, result in self._explain(network, dict(enumerate(network.pictures))):
                seen[number] = _see(result)
            facts = network.facts[:1]
        # The other network doesn't explain the pictures that failed.
        self.progress(len(self.pictures) - len(seen))
        pairs: dict[int, _Pair] = {}
        with self._opened(1) as network:
            match = match_classes((labels, network.labels), names)
            asked = {
                number: _for_second(network.pictures[number], seen[number], match)
                for number in sorted(seen)
            }
            for number, result in self._explain(network, asked):
                pair = _pair(asked[number], seen[number], _see(result), match)
                self._check_truth(asked[number], pair, match)
                pairs[number] = pair
            if not seen:
                return self._conclude((Side(names[0], facts[0]),) * 2, {}, notes)[0], []
            sides = self.plan.sides([*facts, network.facts[0]])
            notes = [*notes, *network.find_doubts(), *filter(None, [match.note])]
            comparison, numbers = self._conclude(sides, pairs, notes)
            chosen = self.choose_drawn(comparison)
            of_second = _show(network, {place: asked[numbers[place]] for place in chosen})
        if not chosen:
            return comparison, []
        with self._opened(0) as network:
            # Each for the class that was compared, even if rounding makes another most probable.
            again = {
                place: replace(
                    network.pictures[numbers[place]],
                    target=str(seen[numbers[place]].explained.index),
                )
                for place in chosen
            }
            of_first = _show(network, again)
        return comparison, _in_order(
            {
                place: (one.image, one.heats[0], of_second[place].heats[0])
                for place, one in of_first.items()
                if place in of_second
            },
            chosen,
        )

    @contextlib.contextmanager
    def _opened(self, side: int) -> Iterator[OpenNetwork]:
        """Opens one of two networks; errors about its classes and layers say which."""
        try:
            with self.opener(self.plan.jobs[side], self.pictures, self.truth) as network:
                yield network
        except (UnknownClassError, UnknownLayerError, UnusableLayerError) as error:
            named = f"{self.plan.names[side]}: {error.message}"
            raise type(error)(named, error.details) from error

    def _check_truth(self, picture: InputPicture, pair: _Pair, match: ClassMatch) -> None:
        """Checks that the number of a true class means the same in both models.

        Raises:
            UsageError: It doesn't.
        """
        if self.truth is None:
            return
        named = self.truth.of(picture)
        first, second = pair.first.truth, pair.second.truth
        if named is None or first is None or second is None:
            return
        if named.name.strip().isdecimal() and match.indices[first.index] != second.index:
            names = self.plan.names
            raise UsageError(
                f"--truth {self.truth.source}: {named.name} is {first.name!r} for {names[0]} but "
                f"{second.name!r} for {names[1]}; use the names of the classes"
            )

    def _explain(
        self, network: OpenNetwork, pictures: Mapping[int, InputPicture]
    ) -> Iterator[tuple[int, PictureResult]]:
        """Explains pictures, and notes the errors of those that fail."""
        for number, result in network.explain(pictures):
            self.progress(1)
            if result.error is None:
                yield number, result
            else:
                self.errors[str(result.picture.path)] = result.error

    def _conclude(
        self, sides: tuple[Side, Side], pairs: Mapping[int, _Pair], notes: Sequence[str]
    ) -> tuple[Comparison, list[int]]:
        """Makes the comparison; returns it with the number of each of its pictures."""
        numbers = sorted(pairs)
        pictures = [pairs[number].compare(sides) for number in numbers]
        explain = self.plan.jobs[0].explain
        if pictures and (explain.classes or pictures[0].explained[0].is_value):
            what = pictures[0].explained[0].name
        elif explain.truth is not None:
            what = "the true class"
        elif len(self.plan.jobs) > 1:
            what = f"the class that {sides[0].name} predicts"
        else:
            what = "the predicted class"
        unique = list(dict.fromkeys(notes))
        return Comparison(self.plan.kind, sides, pictures, self.errors, what, unique), numbers


@dataclass(frozen=True, eq=False)
class _Seen:
    """What is kept of a picture until the other side has explained it.

    Attributes:
        path: The file.
        predicted: The most probable class.
        explained: The explained class.
        truth: The true class; None if it isn't known.
        heat: The map of the explained class, (`GRID`, `GRID`) float16.
        note: Why it shows nothing; "" if it shows something.
    """

    path: str
    predicted: Prediction
    explained: Prediction
    truth: Prediction | None
    heat: np.ndarray
    note: str

    @property
    def is_right(self) -> bool:
        """Whether the most probable class is the true one; False if that isn't known."""
        return self.truth is not None and self.truth.index == self.predicted.index


@dataclass(frozen=True, eq=False)
class _Pair:
    """What both sides say of a picture.

    Attributes:
        first: What the first says.
        second: What the second says.
        same_prediction: Whether they predict the same class.
        has_class: Whether the second has the explained class.
    """

    first: _Seen
    second: _Seen
    same_prediction: bool
    has_class: bool = True

    def compare(self, sides: tuple[Side, Side]) -> ComparedPicture:
        """Compares the maps.

        Args:
            sides: The names of both.
        """
        first, second = self.first, self.second
        correlation = overlap = None
        note = ""
        if not self.has_class:
            note = f"{sides[1].name} has no class {first.explained.name}"
        else:
            heats = first.heat.astype(np.float32), second.heat.astype(np.float32)
            correlation, overlap = rank_correlation(*heats), hottest_overlap(*heats)
            if correlation is None:
                empty, side = (first, sides[0]) if not np.ptp(heats[0]) > 0 else (second, sides[1])
                note = f"the map of {side.name} shows nothing{f': {empty.note}' * bool(empty.note)}"
        right = None
        if first.truth is not None and second.truth is not None:
            right = first.is_right, second.is_right
        return ComparedPicture(
            first.path,
            (first.predicted, second.predicted),
            (first.explained, second.explained if self.has_class else None),
            self.same_prediction,
            None if first.truth is None else first.truth.name,
            right,
            correlation,
            overlap,
            note,
        )


@dataclass(frozen=True, eq=False)
class _Shown:
    """A picture and its maps, by each explainer, at the size at which they are drawn."""

    image: Image.Image
    heats: Sequence[np.ndarray]


@contextlib.contextmanager
def opened_here(
    job: Job, pictures: Sequence[InputPicture], truth: TruthNames | None
) -> Iterator[OpenNetwork]:
    """Loads a network into this process, and frees its memory at the end; see `Opener`."""
    machine, explain = job.machine, job.explain
    parallelism = divide_cores(len(pictures), machine.workers, explain.runs_many_times)
    classifier = load_model_of(job)
    check_whole_pictures(classifier, *COMPARES)
    ready = make_ready(job, pictures, parallelism, truth, classifier)
    # The caller may refer to the network for longer than it is needed.
    held = [ready]

    def run(asked: Sequence[InputPicture], with_cards: bool) -> Iterator[PictureResult]:
        task = replace(held[0].task, keeps_card=with_cards, preview_side=DRAWN_SIDE)
        return replace(held[0], task=task).explain(asked)

    explainers = ready.explainers
    facts = [explainer.facts for explainer in explainers]
    labels = explainers[0].classifier.labels
    values = ready.pictures
    try:
        yield OpenNetwork(labels, values, lambda: _doubts(held[0], pictures), facts, run)
    finally:
        held.clear()
        del ready, explainers, classifier
        # The graphs of a network refer to each other in circles.
        gc.collect()


def _doubts(ready: ReadyJob, pictures: Sequence[InputPicture]) -> list[str]:
    """Says why results of a network may be meaningless, or not what the user means."""
    found = ready.describe_doubts(pictures)
    classifier, fit = ready.explainers[0].classifier, ready.task.inputs.fit
    if classifier.task == MULTILABEL and ready.task.targets.truth is not None:
        found.append(
            f"{classifier.name}: a picture can belong to several classes; a prediction counts as "
            f"right if the most probable class is the true one"
        )
    if fit in _CUTTING_FITS:
        found.append(
            f"{classifier.name}: the network doesn't see the edge of pictures (fit {fit}); there, "
            f"its maps are 0, which changes how far maps agree"
        )
    return found


def _explaining_truth(picture: InputPicture, truth: TruthNames) -> InputPicture:
    """Requests the map of the true class for a picture."""
    named = truth.of(picture)
    # Without a true class, the run reports the error.
    return picture if named is None else replace(picture, target=named.name)


def _for_second(picture: InputPicture, seen: _Seen, match: ClassMatch) -> InputPicture:
    """Requests the map of the class that the first network explained, if the second has it."""
    if picture.target is not None:
        # The true class is named already.
        return picture
    index = match.indices[seen.explained.index]
    return replace(picture, target=None if index is None else str(index))


def _pair(picture: InputPicture, first: _Seen, second: _Seen, match: ClassMatch) -> _Pair:
    """Combines what two networks say of a picture.

    Args:
        picture: The picture, as the second network got it.
        first: What the first says.
        second: What the second says.
        match: The classes that are the same.
    """
    same = match.indices[first.predicted.index] == second.predicted.index
    return _Pair(first, second, same, has_class=picture.target is not None)


def _see(result: PictureResult, explainer: int = 0) -> _Seen:
    """Reduces a result to what is compared.

    Args:
        result: The result.
        explainer: The index of the explainer whose map is compared.
    """
    observation = result.observation
    assert observation is not None
    (target, *_) = result.targets
    return _Seen(
        str(result.picture.path),
        observation.predicted,
        target.prediction,
        observation.truth,
        observation.maps[explainer][target.prediction.index].astype(np.float16),
        "" if target.blank is None else target.blank.note,
    )


def _show(network: OpenNetwork, pictures: Mapping[int, InputPicture]) -> dict[int, _Shown]:
    """Explains pictures once more to draw them; those that fail now are left out."""
    shown: dict[int, _Shown] = {}
    for number, result in network.explain(pictures, with_cards=True):
        card = result.cards[0] if result.cards else ReportPicture(str(result.picture.path))
        if card.preview is None:
            continue
        image = Image.open(io.BytesIO(card.preview.data)).convert("RGB")
        # The maps of an explainer are those of its classes, and the first is compared.
        step = len(card.maps) // len(network.facts)
        heats = [
            draw_heatmap(
                lay_placed(one.cells, one.placement)[:], image.size, one.placement.position
            )
            for one in card.maps[::step]
        ]
        shown[number] = _Shown(image, heats)
    return shown


def _in_order(
    drawn: Mapping[int, tuple[Image.Image, np.ndarray, np.ndarray]], chosen: Sequence[int]
) -> list[DrawnPicture]:
    """Returns pictures and their maps in the order in which they were chosen."""
    found = ((place, *drawn[place]) for place in chosen if place in drawn)
    return [DrawnPicture(place, image, (first, second)) for place, image, first, second in found]
