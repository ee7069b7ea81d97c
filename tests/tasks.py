"""Makes tasks and jobs from options that are named by themselves."""

from dataclasses import fields

from gradcam_cli.models.options import ModelOptions
from gradcam_cli.pictures.preparing import InputShape
from gradcam_cli.run.job import Job
from gradcam_cli.run.options import DrawOptions, ExplainOptions, MachineOptions, WriteOptions
from gradcam_cli.run.targets import Targets
from gradcam_cli.run.task import Task


def make_task(**options):
    """Puts each option into the part of a task that has a field of its name."""
    groups = {"inputs": InputShape, "targets": Targets, "draw": DrawOptions, "write": WriteOptions}
    return Task(**gather(groups, options), **options)


def make_job(**options):
    """Puts each option into the part of a job that has a field of its name."""
    groups = {
        "model": ModelOptions,
        "explain": ExplainOptions,
        "draw": DrawOptions,
        "write": WriteOptions,
        "machine": MachineOptions,
    }
    job = Job(**gather(groups, options))
    assert not options
    return job


def gather(groups, options):
    return {
        name: group(**{f.name: options.pop(f.name) for f in fields(group) if f.name in options})
        for name, group in groups.items()
    }
