"""Measures the methods on sample_images and writes the table into docs/evaluation.md.

    python benchmarks/measure_samples.py            # about two minutes on two cores
    python benchmarks/measure_samples.py --check    # writes nothing; exits with 1 if it differs

Methods and metrics may be left out with --method and --metric when checking.
"""

import argparse
import sys
from pathlib import Path

from gradcam_cli.cam.explainer import Explainer
from gradcam_cli.cam.methods.table import METHODS
from gradcam_cli.evaluation.measuring import evaluate_pictures
from gradcam_cli.evaluation.options import EvaluationOptions
from gradcam_cli.evaluation.ranking import best_rows
from gradcam_cli.evaluation.table import ALL_METRICS, RANKING_METRICS
from gradcam_cli.files.finding import find_pictures
from gradcam_cli.models.loading import load_classifier

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/evaluation.md"
BEGIN, END = "<!-- measured by benchmarks/measure_samples.py -->", "<!-- end of the measured -->"
MEASURED_METHODS = (
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
RANK = "Mean rank ↓"
# Processors round differently, and pixels of nearly the same heat change places.
TOLERANCE = {True: 1.0, False: 0.01}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--method", action="append", choices=MEASURED_METHODS)
    parser.add_argument("--metric", action="append", choices=RANKING_METRICS)
    arguments = parser.parse_args()
    methods = arguments.method or MEASURED_METHODS
    metrics = arguments.metric or RANKING_METRICS
    evaluation = measure(methods, metrics)
    if arguments.check:
        return check(evaluation)
    if arguments.method or arguments.metric:
        parser.error("--method and --metric go with --check")
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    table = write_table(evaluation)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", "utf-8")
    return 0


def measure(methods, metrics):
    classifier = load_classifier()
    explainers = [Explainer(classifier, method=method) for method in methods]
    pictures = list(find_pictures([ROOT / "sample_images"]))
    return evaluate_pictures(pictures, explainers, EvaluationOptions(metrics=metrics))


def write_table(evaluation):
    headings = [RANK, *(ALL_METRICS[name].heading for name in evaluation.metrics)]
    lines = [f"| | {' | '.join(headings)} |", "| --- |" + " ---: |" * len(headings)]
    ranked = {row.maps.title: row.ranks for row in evaluation.rank().rows}
    for row in evaluation.rows:
        ranks = ranked.get(row.title)
        cells = [row.title, f"{ranks.mean:.1f} ± {ranks.margin:.1f}" if ranks else ""]
        for name in evaluation.metrics:
            cell = " ± ".join(figures(row, name))
            cells.append(f"**{cell}**" if row in best_rows(evaluation.rows, name) else cell)
        lines.append(f"| {' | '.join(cells)} |")
    sentences = " ".join(evaluation.judge().sentences)
    return "\n".join(["", *lines, "", f"> {sentences}", ""])


def figures(row, name):
    measured = row.measurements[name]
    factor, digits = (100, 0) if ALL_METRICS[name].is_share else (1, 2)
    return [f"{factor * value:.{digits}f}" for value in (measured.mean, measured.margin)]


def check(evaluation):
    written = read_table()
    differing = 0
    for row in evaluation.rows:
        for name in evaluation.metrics:
            metric = ALL_METRICS[name]
            mean = row.measurements[name].mean * (100 if metric.is_share else 1)
            found = written[row.title, metric.heading]
            # Half of the last digit is lost in writing.
            if abs(found - mean) > 1.5 * TOLERANCE[metric.is_share]:
                differing += 1
                print(f"{row.title}, {metric.heading}: documented {found}, measured {mean:.4f}")
    print(f"{differing} figures differ")
    return 1 if differing else 0


def read_table():
    section = PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    headings = rows[0][1:]
    titles = {METHODS[name].title for name in MEASURED_METHODS}
    assert titles <= {row[0] for row in rows}
    return {
        (row[0], heading): float(cell.split()[0])
        for row in rows[2:]
        for heading, cell in zip(headings, row[1:], strict=True)
        if heading != RANK
    }


if __name__ == "__main__":
    sys.exit(main())
