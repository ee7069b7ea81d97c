"""A run as plain values.

The same values start a run in this process and on the workers of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gradcam_cli.cam.fusions import check_fused_layers, check_fusion
from gradcam_cli.cam.methods.table import METHODS, check_combines_scores, check_has_sign
from gradcam_cli.errors import UsageError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.models.input_choice import parse_inputs
from gradcam_cli.models.input_values import with_values
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.score_regions import ScoreRegion
from gradcam_cli.run.options import (
    DrawOptions,
    ExplainOptions,
    MachineOptions,
    StackOptions,
    WriteOptions,
)
from gradcam_cli.run.result_names import check_names


@dataclass(frozen=True)
class Job:
    """What to do in a run.

    Attributes:
        model: What to load.
        explain: What to explain.
        draw: What to draw.
        write: Where to write.
        machine: How to run.
        stack: What to explain in files of several pictures.
        observes: Whether results hold what an analysis of many pictures needs, and no files are
            written. Each layer is then explained on its own.
        preview_side: If results of such an analysis also hold what its page shows, the length of
            the longer side of its pictures in pixels; None for no page.
    """

    model: ModelOptions = field(default_factory=ModelOptions)
    explain: ExplainOptions = field(default_factory=ExplainOptions)
    draw: DrawOptions = field(default_factory=DrawOptions)
    write: WriteOptions = field(default_factory=WriteOptions)
    machine: MachineOptions = field(default_factory=MachineOptions)
    stack: StackOptions = field(default_factory=StackOptions)
    observes: bool = False
    preview_side: int | None = None

    @property
    def runs_many_times(self) -> bool:
        """Whether the network runs many times for each picture, so that one uses all cores."""
        is_usual = not self.explain.methods
        return self.explain.runs_many_times or (is_usual and self.model.is_black_box)

    @property
    def draws_sheet(self) -> bool:
        """Whether a sheet of several methods is drawn instead of overlays."""
        if self.observes:
            return False
        return len(self.explain.methods) > 1 and not (self.draw.figure or self.write.report)

    @property
    def writes_files(self) -> bool:
        """Whether anything is written besides a report."""
        if self.observes:
            return False
        draw = self.draw
        wanted = (
            *(self.write.out, self.write.name, self.explain.each),
            *(draw.heatmap, draw.figure, draw.contour, draw.box, draw.mask, draw.hot_only),
        )
        return self.write.report is None or any(wanted)

    @property
    def writes_one_a_class(self) -> bool:
        """Whether each of several classes gets its own overlay."""
        explain = self.explain
        several = len(explain.classes) > 1 or explain.each or explain.only_wrong
        return several and not self.draws_sheet

    def check(self) -> None:
        """Checks that the options can be combined.

        Raises:
            UsageError: They can't.
        """
        explain, draw, write = self.explain, self.draw, self.write
        if write.report_assets and write.report is None:
            raise UsageError("--report-assets needs --report FILE.html")
        if write.skip_existing and write.report is not None:
            raise UsageError("--report shows all pictures; leave out --skip-existing")
        if write.skip_existing and explain.only:
            raise UsageError(
                "--only wrong writes nothing for right predictions, so they can't be skipped; "
                "leave out --skip-existing"
            )
        if explain.only and not explain.truth:
            raise UsageError("--only wrong needs --truth to know the true classes")
        if explain.only and explain.classes:
            raise UsageError(
                "--only wrong explains the predicted and the true class; leave out --class"
            )
        if explain.each and explain.classes:
            raise UsageError(
                "--each explains the most probable classes; leave out --class, or leave out --each "
                "and repeat --class"
            )
        if explain.join and len(explain.classes) < 2:
            raise UsageError("--join needs several --class options")
        for method in explain.methods:
            if draw.signed:
                check_has_sign(method, "--signed")
            if explain.join:
                check_combines_scores(method, "--join")
            if explain.against is not None:
                check_combines_scores(method, "--against")
        if explain.region is not None:
            region = ScoreRegion(explain.region)
            if region.is_file and self.machine.address is not None:
                raise UsageError(
                    f"--region {explain.region}: masks are files of this machine, which the "
                    f"workers of --ray may not have; give LEFT,TOP,RIGHT,BOTTOM or leave out --ray"
                )
        if self.stack.first_frame and self.stack.chooses_frames:
            raise UsageError(
                "--first-frame explains one picture of each file; leave out --every, --frames and "
                "--scale"
            )
        if draw.threshold is not None and not draw.uses_threshold:
            raise UsageError("--threshold needs --contour, --box, --mask or --hot-only")
        if explain.fusion is not None and len(explain.layers) < 2:
            raise UsageError("--fuse needs several --layer options")
        if explain.fusion is not None:
            asked = f"--fuse {explain.fusion}"
            check_fusion(explain.fusion, signed=draw.signed, asked=asked, signed_as="--signed")
        for method in explain.methods:
            check_fused_layers(method, explain.layers, "--layer options")
            if explain.fusion is not None and METHODS[method].fuses_layers:
                raise UsageError(f"--fuse doesn't work with {method}, which fuses layers itself")
        if self.draws_sheet:
            for option, is_given in {
                "heatmap": draw.heatmap,
                "truth": explain.truth,
                "each": explain.each,
                "contour": draw.contour,
                "box": draw.box,
                "mask": draw.mask,
            }.items():
                if is_given:
                    raise UsageError(
                        f"--{option} doesn't work with the sheet of several methods; choose one "
                        f"--method or add --figure"
                    )

    def has_values(self, pictures: Iterable[InputPicture]) -> bool:
        """Returns whether there may be values for further inputs of the model."""
        return bool(self.model.inputs) or any(picture.values for picture in pictures)

    def with_values(self, pictures: Sequence[InputPicture]) -> list[InputPicture]:
        """Gives each picture the values of the model's other inputs; loads the model.

        Args:
            pictures: The pictures, with all further columns of their lists.

        Raises:
            GradcamError: As for `make_ready`.
        """
        from gradcam_cli.models.loading import load_architecture

        classifier = load_architecture(self.model)
        return with_values(pictures, classifier, parse_inputs(self.model.inputs).values)

    def check_names(self, pictures: Iterable[InputPicture]) -> None:
        """Checks that each file gets its own name.

        Args:
            pictures: All pictures.

        Raises:
            UsageError: Several files would have the same name, or the pattern isn't valid.
        """
        if self.writes_files:
            names_classes = bool(self.explain.classes)
            check_names(pictures, self.write, self.writes_one_a_class, names_classes)
