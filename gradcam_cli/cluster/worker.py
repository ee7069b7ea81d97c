"""What runs on each worker of a cluster: one process that holds the model."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cluster.blocks import Block
from gradcam_cli.cluster.result_table import TABLE_FOLDER, write_part
from gradcam_cli.errors import GradcamError
from gradcam_cli.files.finding import InputPicture
from gradcam_cli.files.naming import OutputNamer
from gradcam_cli.run.job import Job, ReadyJob, make_ready
from gradcam_cli.run.records import PictureResult
from gradcam_cli.runtime import onednn
from gradcam_cli.runtime.cores import Parallelism

BLOCK, ANSWER = "block", "answer"


@dataclass(frozen=True)
class Answer:
    """What came of one block.

    Attributes:
        part: The name of its part of the table of results.
        explainers: What explained it.
        results: One for each picture.
        error: Why there is nothing: the whole run can't be done.
    """

    part: str
    explainers: Sequence[ExplainerFacts] = ()
    results: Sequence[PictureResult] = ()
    error: GradcamError | None = None


class Worker:
    """Explains one block after the other; `ray.data.Dataset.map_batches` calls it."""

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
            job: What is asked for; has a folder for results.
            parallelism: How many things are done at once here.
            pictures: One of each folder.
            folder: The current folder of whoever asked.
            onednn_setting: What whoever asked has set `onednn.VARIABLE` to; None to do what
                suits this machine.
        """
        # Paths that aren't absolute mean the same here, where that folder is shared.
        with contextlib.suppress(OSError):
            os.chdir(folder)
        if onednn_setting is not None:
            os.environ[onednn.VARIABLE] = onednn_setting
        onednn.choose_onednn()
        import tensorflow as tf

        parallelism.limit(tf.config.threading)
        self._ready: ReadyJob | None = None
        self._error: GradcamError | None = None
        # An actor that fails to start would be started again and again.
        try:
            self._ready = make_ready(job, pictures, parallelism)
        except GradcamError as error:
            self._error = error

    def __call__(self, batch: dict[str, Any]) -> dict[str, np.ndarray]:
        """Explains a block, and writes its results and its part of the table.

        Args:
            batch: A `Block` in the first and only row of a column.

        Returns:
            An `Answer`, likewise.
        """
        answers = np.empty(1, object)
        answers[0] = self._explain(batch[BLOCK][0])
        return {ANSWER: answers}

    def _explain(self, block: Block) -> Answer:
        if self._ready is None:
            return Answer(block.part, error=self._error)
        out = self._ready.task.write.out
        assert out is not None
        facts = [explainer.facts for explainer in self._ready.explainers]
        try:
            namer = OutputNamer(out, block.taken, self._ready.task.names.identity)
            results = list(self._ready.explain(block.pictures, namer))
            write_part(out / TABLE_FOLDER / block.part, results, facts)
        except GradcamError as error:
            return Answer(block.part, error=error)
        return Answer(block.part, facts, results)
