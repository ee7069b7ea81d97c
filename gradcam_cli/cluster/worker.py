"""The process on each worker of a cluster, which holds the model."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cluster.blocks import Block
from gradcam_cli.cluster.result_table import TABLE_FOLDER, write_part
from gradcam_cli.errors import GradcamError, GradcamWarning
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.run.job import Job
from gradcam_cli.run.ready_job import ReadyJob, make_ready
from gradcam_cli.run.records import PictureResult
from gradcam_cli.runtime import onednn
from gradcam_cli.runtime.cores import Parallelism
from gradcam_cli.runtime.tensorflow_import import import_tensorflow

BLOCK, ANSWER = "block", "answer"


@dataclass(frozen=True)
class Answer:
    """The outcome of one block.

    Attributes:
        part: The name of its part of the result table.
        explainers: The explainers.
        results: One result for each picture.
        error: Why the whole run can't be done; None if it can.
        warnings: What the user should know about the model, such as about its class names.
    """

    part: str
    explainers: Sequence[ExplainerFacts] = ()
    results: Sequence[PictureResult] = ()
    error: GradcamError | None = None
    warnings: Sequence[str] = ()


class Worker:
    """Explains one block after the other; called by `ray.data.Dataset.map_batches`."""

    def __init__(
        self,
        job: Job,
        parallelism: Parallelism,
        pictures: Sequence[InputPicture],
        folder: str,
        onednn_setting: str | None = None,
    ) -> None:
        """Loads the model.

        Args:
            job: The job, which has a folder for results or is an analysis.
            parallelism: The division of this worker's cores.
            pictures: One picture from each folder.
            folder: The current folder of the caller.
            onednn_setting: The caller's own value of `onednn.VARIABLE`; None to choose what
                suits this machine.
        """
        # Relative paths then mean the same as for the caller, if the folder is shared.
        with contextlib.suppress(OSError):
            os.chdir(folder)
        if onednn_setting is not None:
            os.environ[onednn.VARIABLE] = onednn_setting
        import_tensorflow(parallelism=parallelism)
        self._ready: ReadyJob | None = None
        self._error: GradcamError | None = None
        # Ray would restart an actor whose constructor fails again and again.
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always", GradcamWarning)
            try:
                self._ready = make_ready(job, pictures, parallelism)
            except GradcamError as error:
                self._error = error
        ours = (one.message for one in noted if issubclass(one.category, GradcamWarning))
        self._warnings = [str(message) for message in ours]

    def __call__(self, batch: dict[str, Any]) -> dict[str, np.ndarray]:
        """Explains a block, and writes its results and its part of the result table.

        Args:
            batch: A column with a `Block` in its only row.

        Returns:
            A column with an `Answer` in its only row.
        """
        answers = np.empty(1, object)
        answers[0] = self._explain(batch[BLOCK][0])
        return {ANSWER: answers}

    def _explain(self, block: Block) -> Answer:
        if self._ready is None:
            return Answer(block.part, error=self._error)
        facts = [explainer.facts for explainer in self._ready.explainers]
        try:
            if self._ready.task.observes:
                results = list(self._ready.explain(block.pictures))
                return Answer(block.part, facts, results, warnings=self._warnings)
            out = self._ready.task.write.out
            assert out is not None
            namer = OutputNamer(out, block.taken, self._ready.task.names.identity)
            results = list(self._ready.explain(block.pictures, namer))
            write_part(out / TABLE_FOLDER / block.part, results, facts)
        except GradcamError as error:
            return Answer(block.part, error=error)
        return Answer(block.part, facts, results, warnings=self._warnings)
