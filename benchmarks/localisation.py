"""Measures where the heat lies in annotated photographs, beside the baselines.

    python -m benchmarks.localisation                       # sample_images; updates the documents
    python -m benchmarks.localisation --check               # writes nothing; 1 if they differ
    python -m benchmarks.localisation VOC2012/JPEGImages --annotations VOC2012
    python -m benchmarks.localisation val2017 --annotations annotations/instances_val2017.json

For other pictures, it prints the table. See benchmarks/README.md.
"""

import sys
from pathlib import Path

import click
import numpy as np

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.evaluation.annotations import Annotations
from gradcam_cli.evaluation.measurement import is_larger
from gradcam_cli.evaluation.measuring import evaluate_pictures
from gradcam_cli.evaluation.options import EvaluationOptions
from gradcam_cli.evaluation.table import ALL_METRICS, LOCALISATION_METRICS
from gradcam_cli.files.finding import find_pictures
from gradcam_cli.models.loading import load_classifier
from gradcam_cli.models.options import ModelOptions

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "sample_images"
ANNOTATIONS = ROOT / "benchmarks/sample_annotations.json"
PAGE = ROOT / "docs/evaluation.md"
README = ROOT / "README.md"
BEGIN = "<!-- measured by benchmarks/localisation.py -->"
END = "<!-- end of the localisation -->"
DEFAULT_LAYER_METHODS = (
    "gradcam",
    "gradcam++",
    "xgradcam",
    "hirescam",
    "layercam",
    "finercam",
    "shapleycam",
    "eigencam",
    "fem",
)
# Methods differ most at an earlier layer, with four times as many cells.
EARLIER_LAYER = "block6a_expand_activation"
EARLIER_LAYER_METHODS = ("gradcam", "gradcam++", "hirescam", "layercam")
DOCUMENTED = (
    *((method, None) for method in DEFAULT_LAYER_METHODS),
    *((method, EARLIER_LAYER) for method in EARLIER_LAYER_METHODS),
)
IN_README = ("Grad-CAM", f"LayerCAM · {EARLIER_LAYER}", "random map", "centre Gaussian")
# Processors round differently; a picture where that decides whether a box fits counts a tenth.
TOLERANCE = 11


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--annotations", type=click.Path(path_type=Path), metavar="FOLDER|FILE.json",
              help="The objects: see 'gradcam evaluate --help'. [default: those of "
              "sample_images]")  # fmt: skip
@click.option("--model", help="A named model or a file. [default: the built-in model]")
@click.option("--method", "methods", multiple=True, type=click.Choice(list(METHODS)),
              help="Can be repeated. [default: those that the documents show]")  # fmt: skip
@click.option("--layer", "layers", multiple=True,
              help="Can be repeated. [default: the last one; also an earlier one for the "
              "documents]")  # fmt: skip
@click.option("--check", is_flag=True,
              help="Compare with the documents, for sample_images. Writes nothing.")  # fmt: skip
def main(folder, annotations, model, methods, layers, check):
    """Measures where the heat lies in annotated photographs, beside the baselines."""
    if (folder is None) != (annotations is None):
        raise click.UsageError("a folder and --annotations go together")
    changes = any((folder, model, methods, layers))
    if check and (folder or model or layers):
        raise click.UsageError("--check goes with sample_images and the built-in model")
    rows = DOCUMENTED if not changes else [
        (method, layer)
        for method in methods or DEFAULT_LAYER_METHODS
        for layer in layers or (None,)
    ]  # fmt: skip
    evaluation = measure(folder or PICTURES, annotations or ANNOTATIONS, rows, model)
    for error in evaluation.errors:
        click.echo(str(error), err=True)
    if check:
        sys.exit(differing(evaluation))
    click.echo(write_table(evaluation))
    if not changes:
        write_between(PAGE, write_table(evaluation))
        write_between(README, write_table(evaluation, IN_README))


def measure(folder, annotations, rows, model=None):
    classifier = load_classifier(ModelOptions(model=model))
    options = EvaluationOptions(
        metrics=(),
        inputs=classifier.input_for("keep", None),
        annotations=Annotations(annotations, classifier.labels),
    )
    explainers = [
        Explainer(classifier, layer, method)
        for method, layer in rows
        if layer is None or METHODS[method].needs_layer
    ]
    return evaluate_pictures(list(find_pictures([folder])), explainers, options)


def write_table(evaluation, titles=None):
    """Lays the figures out: the mean and its interval in per cent, bold above both baselines."""
    metrics = [name for name in LOCALISATION_METRICS if name in evaluation.metrics]
    lines = [
        "| | " + " | ".join(ALL_METRICS[name].heading for name in metrics) + " |",
        "| --- |" + " ---: |" * len(metrics),
    ]
    default = evaluation.explained[0].layer
    for row in evaluation.rows:
        title = name_of(row, default)
        if titles is None or title in titles:
            cells = [write_cell(evaluation, row, name) for name in metrics]
            lines.append(f"| {' | '.join([title, *cells])} |")
    return "\n".join(lines)


def name_of(row, default):
    return row.title if row.layer in (None, default) else f"{row.title} · {row.layer}"


def write_cell(evaluation, row, name):
    measured = row.measurements[name]
    low, high = measured.interval
    cell = f"{100 * measured.mean:.0f} ({100 * low:.0f}–{100 * high:.0f})"
    is_better = not row.is_baseline and all(
        beats(row, baseline, name) for baseline in evaluation.baselines
    )
    return f"**{cell}**" if is_better else cell


def beats(row, baseline, name):
    """Whether a row is better than a baseline on the same pictures, beyond chance."""
    pairs = [
        (values[name], baseline.values[number][name])
        for number, values in row.values.items()
        if name in values and name in baseline.values[number]
    ]
    own, other = np.array(pairs).T
    return is_larger(own, other) if ALL_METRICS[name].higher_is_better else is_larger(other, own)


def write_between(path, table):
    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    if begin:
        path.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", "utf-8")


def differing(evaluation):
    """Prints the figures that the documents hold and that differ; returns whether there are any."""
    number = 0
    metrics = [name for name in LOCALISATION_METRICS if name in evaluation.metrics]
    for path in (PAGE, README):
        written = read_table(path)
        for row in evaluation.rows:
            title = name_of(row, evaluation.explained[0].layer)
            for name in metrics if title in written else ():
                found = written[title][ALL_METRICS[name].heading]
                mean = 100 * row.measurements[name].mean
                if abs(found - mean) > TOLERANCE:
                    number += 1
                    heading = ALL_METRICS[name].heading
                    print(f"{path.name}: {title}, {heading}: {found}, measured {mean:.1f}")
    print(f"{number} figures differ")
    return int(number > 0)


def read_table(path):
    section = path.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip(" *") for cell in line] for line in lines]
    return {
        row[0]: {
            heading: float(cell.split()[0])
            for heading, cell in zip(cells[0][1:], row[1:], strict=True)
        }
        for row in cells[2:]
    }


if __name__ == "__main__":
    main()
