"""Distributes a run over the workers of a Ray cluster, and collects the results."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cluster.blocks import Block, cut
from gradcam_cli.errors import (
    ClusterError,
    GradcamError,
    GradcamWarning,
    UsageError,
    reason,
)
from gradcam_cli.files.finding import InputPicture, PictureKey
from gradcam_cli.files.name_pattern import NamePattern
from gradcam_cli.files.naming import check_places
from gradcam_cli.files.storage import AnyPath, is_remote
from gradcam_cli.pictures.stacks.opening import is_stack_by_name
from gradcam_cli.run.job import Job
from gradcam_cli.run.records import PictureResult
from gradcam_cli.runtime.cores import divide_cores
from gradcam_cli.runtime.extras import how_to_install
from gradcam_cli.runtime.onednn import users_setting
from gradcam_cli.runtime.stderr import held_back_stderr

if TYPE_CHECKING:
    from gradcam_cli.cluster.worker import Answer

LOCAL = "local"
# A task that kills a worker more often than this will kill the next one too.
_RETRIES = 3
_RESTARTS = 5
_SLOW_BLOCK = 16
# The timeout in seconds, enough for a distant machine.
_PATIENCE = 10
# Threads of a worker that wait for a store instead of computing.
_WAITING_THREADS = 7
# Ray reports every worker that died on standard output, which is reserved for results.
_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_PROCESS_MEMORY = "memory"


class ClusterRun(NamedTuple):
    """A run on a cluster.

    Attributes:
        explainers: The explainers of the pictures.
        results: One result for each picture, block by block, as soon as its files and its row
            in the table are complete.
    """

    explainers: Sequence[ExplainerFacts]
    results: Iterator[PictureResult]


@contextlib.contextmanager
def explain_on_cluster(
    pictures: Sequence[InputPicture],
    job: Job,
    *,
    block_size: int | None = None,
) -> Iterator[ClusterRun]:
    """Explains pictures on the workers of a Ray cluster.

    The overlays are the same as in a run on one machine. In addition, the folder ``results``
    below the folder for results has a table of Parquet files with one row for each picture. If a
    worker dies, another one explains its block. A table of an earlier run keeps the rows of
    pictures that aren't explained again. Nothing at all is written for an analysis: its results
    come back.

    Args:
        pictures: The pictures. Pictures outside a store, and a model file, must have the same
            path on every machine.
        job: The job. It needs a folder for results, unless it is an analysis, and can't have a
            report. Its machine
            options have the address of the cluster, as for ``ray.init``, and the number of
            processes that hold the model. The address "local" or None starts a cluster for
            the run; if the caller is already connected to one, that one is used. The number
            None means one process on each GPU or, without GPUs, on each core.
        block_size: The number of pictures that a worker gets at a time; None for 64 to 256, or
            16 for a method that runs the network many times, or 1 for videos and volumes.

    Yields:
        The run, when the first block is finished.

    Raises:
        UsageError: Ray isn't installed, or the job can't be done on a cluster.
        ClusterError: The cluster can't be reached, or can't do the job.
        GradcamError: An error in the job, as on one machine.
    """
    _check(pictures, job)
    address = job.machine.address or LOCAL
    if address.startswith("ray://"):
        raise UsageError(
            f"--ray {address}: Ray Data needs the address of the cluster itself, as host:6379, "
            f"from one of its machines"
        )
    with connected(address) as ray:
        if job.write.skip_existing:
            pictures = _redoing_unrecorded(pictures, job)
        if block_size is None and job.runs_many_times:
            # Each picture takes seconds, so with large blocks workers would end far apart.
            block_size = _SLOW_BLOCK
        if block_size is None and all(is_stack_by_name(picture.path) for picture in pictures):
            # Each video takes minutes.
            block_size = 1
        pattern = None if job.write.name is None else NamePattern(job.write.name)
        blocks = list(cut(pictures, job.write.out, block_size, pattern))
        answers = _answers(ray, blocks, pictures, job)
        with contextlib.closing(answers):
            first = next(answers)
            for text in first.warnings:
                warnings.warn(text, GradcamWarning, stacklevel=2)
            yield ClusterRun(first.explainers, _results(first, answers, job))


def _check(pictures: Sequence[InputPicture], job: Job) -> None:
    if job.write.report is not None:
        raise UsageError("--report collects all pictures on one machine; omit --ray")
    places: list[AnyPath] = [picture.path for picture in pictures]
    if not job.observes:
        if job.write.out is None:
            raise UsageError("--ray needs --out: a folder or URL that all workers can write to")
        check_places(pictures, job.write.out)
        places.append(job.write.out)
    for path in places:
        if is_remote(path) and path.protocol == _PROCESS_MEMORY:
            raise UsageError(f"{path}: several workers can't share the memory of one process")


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connects to a cluster, and disconnects at the end if the caller wasn't connected before.

    Args:
        address: The address of the cluster, or "local" to start one.

    Raises:
        UsageError: Ray isn't installed.
        ClusterError: The cluster can't be reached.
    """
    for variable, value in _QUIET.items():
        os.environ.setdefault(variable, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError(
            f"--ray needs a package that isn't installed ({error.name}): {how_to_install('ray')}"
        ) from error
    if ray.is_initialized():
        yield ray
        return
    options: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    failure = None
    with held_back_stderr():
        try:
            _check_port(address)
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
        # Raising it here would print the held-back output in addition to the one error line.
        except Exception as error:
            failure = error
    if failure is not None:
        raise ClusterError(
            f"--ray {address}: cannot be reached ({reason(failure)}); run 'ray status' there to "
            f"check whether it is up; if it requires a token, set RAY_AUTH_MODE=token"
        ) from failure
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_port(address: str) -> None:
    """Fails immediately if nothing listens at the address; Ray would retry for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()


def _redoing_unrecorded(pictures: Sequence[InputPicture], job: Job) -> list[InputPicture]:
    """Marks pictures without a row in the table for redoing: their block was interrupted."""
    from gradcam_cli.cluster.result_table import TABLE_FOLDER, recorded_rows, row_key

    assert job.write.out is not None
    recorded = recorded_rows(job.write.out / TABLE_FOLDER)
    return [
        replace(picture, redo=picture.redo or row_key(picture) not in recorded)
        for picture in pictures
    ]


def _answers(
    ray: Any,
    blocks: Sequence[Block],
    pictures: Sequence[InputPicture],
    job: Job,
) -> Generator[Answer]:
    from gradcam_cli.cluster.worker import ANSWER, BLOCK, Worker

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)

    resources = ray.cluster_resources()
    cores, gpus = int(resources.get("CPU", 1)), int(resources.get("GPU", 0))
    workers = min(job.machine.workers or gpus or cores, len(blocks))
    cores_each = max(1, cores // workers) if gpus else 1
    shares = divide_cores(len(pictures), cores_each, job.runs_many_times)
    threads = cores_each + _WAITING_THREADS
    parallelism = replace(shares, workers=threads)
    one_of_each = {picture.path.parent: picture for picture in reversed(pictures)}
    rows = [{BLOCK: block} for block in blocks]
    with warnings.catch_warnings():
        # These are still the only way to limit retries, which are unlimited by default.
        warnings.simplefilter("ignore", DeprecationWarning)
        answers = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Worker,
            fn_constructor_args=(
                *(job, parallelism, list(one_of_each.values())),
                *(os.getcwd(), users_setting()),
            ),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=cores_each,
            num_gpus=1 if gpus else 0,
            max_restarts=_RESTARTS,
            max_task_retries=_RETRIES,
        )
    try:
        for batch in answers.iter_batches(batch_size=None):
            for answer in batch[ANSWER]:
                if answer.error is not None:
                    raise answer.error
                yield answer
    except GradcamError:
        raise
    except Exception as error:
        raise ClusterError(f"the cluster failed ({reason(error)})") from error


def _results(first: Answer, answers: Iterator[Answer], job: Job) -> Iterator[PictureResult]:
    if job.observes:
        yield from first.results
        for answer in answers:
            yield from answer.results
        return
    from gradcam_cli.cluster.result_table import TABLE_FOLDER, drop_older_rows, row_key

    parts: list[str] = []
    anew: set[PictureKey] = set()
    for answers_so_far in ([first], answers):
        for answer in answers_so_far:
            yield from answer.results
            parts.append(answer.part)
            anew.update(row_key(result.picture) for result in answer.results if not result.skipped)
    assert job.write.out is not None
    drop_older_rows(job.write.out / TABLE_FOLDER, parts, anew)
