"""What a comparison compares: two models, weights, methods or layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gradcam_cli.analysis.comparison import LAYERS, METHODS, MODELS, WEIGHTS, Side
from gradcam_cli.cam.facts import ExplainerFacts
from gradcam_cli.cam.methods.table import DEFAULT_METHOD
from gradcam_cli.cam.methods.table import METHODS as METHOD_TABLE
from gradcam_cli.errors import UsageError
from gradcam_cli.models.options import ModelOptions
from gradcam_cli.run.job import Job
from gradcam_cli.run.options import ExplainOptions, MachineOptions


@dataclass(frozen=True)
class ComparisonPlan:
    """Two networks, methods or layers to compare.

    Attributes:
        kind: What is compared: "models", "weights", "methods" or "layers".
        jobs: The job of each network: one for two methods or layers, which need one network.
    """

    kind: str
    jobs: Sequence[Job]

    def sides(self, explainers: Sequence[ExplainerFacts]) -> tuple[Side, Side]:
        """Names the two, so that the names differ.

        Args:
            explainers: What explains for each.

        Raises:
            UsageError: They are the same method or layer.
        """
        first, second = explainers
        if self.kind == METHODS:
            names = (METHOD_TABLE[first.method].title, METHOD_TABLE[second.method].title)
        elif self.kind == LAYERS:
            names = first.layer, second.layer
            if first.layer == second.layer:
                raise UsageError(f"--layer: both are the layer {first.layer}; choose two layers")
        else:
            names = self.names
        return Side(names[0], first), Side(names[1], second)

    @property
    def names(self) -> tuple[str, str]:
        """The names of two networks."""
        first, second = (job.model for job in self.jobs)
        if self.kind == WEIGHTS:
            return _distinct(str(first.weights), str(second.weights))
        return _distinct(first.name, second.name)


def plan_comparison(
    models: Sequence[ModelOptions],
    explain: ExplainOptions,
    machine: MachineOptions,
) -> ComparisonPlan:
    """Finds out what is to be compared.

    Args:
        models: One model, or two to compare.
        explain: What to explain. It has at most one method and one layer, or two of either to
            compare.
        machine: How to run.

    Raises:
        UsageError: It isn't clear what to compare.
    """
    models = [model.having(explain.layers) for model in models]
    weights = {model.weights for model in models}
    differs_in_weights = len({model.name for model in models}) == 1 and len(weights) > 1
    counts = {
        "--model": 1 if differs_in_weights else len(models),
        "--weights": len(models) if differs_in_weights else 1,
        "--method": len(explain.methods),
        "--layer": len(explain.layers),
    }
    several = [option for option, count in counts.items() if count > 1]
    kinds = {"--model": MODELS, "--weights": WEIGHTS, "--method": METHODS, "--layer": LAYERS}
    if len(several) != 1:
        given = f", but {' and '.join(several)} are given several times" if several else ""
        raise UsageError(
            f"compare needs two of one kind: give --model, --weights, --method or --layer "
            f"twice{given}"
        )
    (option,) = several
    if counts[option] > 2:
        raise UsageError(f"{option}: {counts[option]} are given, but compare takes two")
    for values in (explain.methods, explain.layers):
        if len(values) == 2 and values[0] == values[1]:
            raise UsageError(f"{option}: both are {values[0]}; choose two that differ")
    method = next(iter(explain.methods), DEFAULT_METHOD)
    if option == "--layer" and not METHOD_TABLE[method].needs_layer:
        title = METHOD_TABLE[method].title
        raise UsageError(
            f"--layer: the map of {title} doesn't depend on a layer; choose a --method"
        )
    jobs = [Job(model, explain, machine=machine, observes=True) for model in models]
    for job in jobs:
        job.check()
    return ComparisonPlan(kinds[option], jobs)


def pair_models(
    shared: ModelOptions,
    models: Sequence[str],
    weights: Sequence[Path],
    labels: Sequence[Path],
) -> list[ModelOptions]:
    """Combines what the user says of each model with what holds for both.

    Args:
        shared: The options that hold for both.
        models: The names or files of the models; empty for the built-in one.
        weights: Files of weights: none, one for the only model, or one for each.
        labels: Files of class names: none, one for both models, or one for each.

    Raises:
        UsageError: It isn't clear what belongs to which model.
    """
    number = max(len(models), len(weights), 1)
    named: list[str | None] = list(models) or [None]
    named = named * number if len(named) == 1 else named
    if len(named) == 2 and len(weights) == 1:
        raise UsageError(
            f"--weights {weights[0]}: it isn't clear to which model they belong; give --weights "
            f"once for each model"
        )
    if len(labels) > 1 and len(labels) != len(named):
        raise UsageError(
            f"--labels: {len(labels)} files for {len(named)} model{'s' * (len(named) > 1)}; give "
            f"one for all models, or one for each"
        )
    of_each: list[Path | None] = [*labels] or [None]
    of_each = of_each * len(named) if len(of_each) == 1 else of_each
    loaded: list[Path | None] = [*weights] or [None] * len(named)
    if len(loaded) != len(named):
        raise UsageError(f"--weights: {len(loaded)} files for {len(named)} models")
    return [
        replace(shared, model=model, weights=file, labels=names)
        for model, file, names in zip(named, loaded, of_each, strict=True)
    ]


def _distinct(first: str, second: str) -> tuple[str, str]:
    """Shortens two names or paths as far as they still differ."""
    parts = Path(first).parts or (first,), Path(second).parts or (second,)
    for number in range(1, max(map(len, parts)) + 1):
        names = ["/".join(of_one[-number:]) for of_one in parts]
        if names[0] != names[1]:
            return names[0], names[1]
    return f"{parts[0][-1]} (first)", f"{parts[1][-1]} (second)"
