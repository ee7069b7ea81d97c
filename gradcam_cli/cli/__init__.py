"""The command line: parses options, calls the other packages and prints."""

from __future__ import annotations

import click

from gradcam_cli.cli.audit import audit
from gradcam_cli.cli.best_layer import best_layer
from gradcam_cli.cli.compare import compare
from gradcam_cli.cli.demo import demo
from gradcam_cli.cli.doctor import doctor
from gradcam_cli.cli.evaluate import evaluate
from gradcam_cli.cli.explain import explain
from gradcam_cli.cli.group import GradcamGroup
from gradcam_cli.cli.info import info
from gradcam_cli.cli.layers import layers
from gradcam_cli.cli.methods import methods
from gradcam_cli.cli.metrics import metrics
from gradcam_cli.cli.models import models
from gradcam_cli.cli.show import show
from gradcam_cli.version import __version__


@click.group(
    cls=GradcamGroup,
    default="explain",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="gradcam")
def main() -> None:
    """Shows where an image classifier looked, and why it chose this class.

    \b
    gradcam demo                   try it on two pictures that come with gradcam
    gradcam photo.jpg              write photo_gradcam.png, print the top classes
    gradcam photos/ --out maps/    explain all pictures in a folder, recursively
    gradcam show photo.jpg         show the result in a window or in the terminal
    gradcam audit photos/          say where a model goes wrong, and why
    gradcam compare photos/ ...    compare two models, methods or layers
    gradcam evaluate photos/       measure whether the maps can be trusted
    gradcam explain --help         show all options

    If a file or folder has the name of a command, write it as ./models.
    """


main.add_command(audit)
main.add_command(best_layer)
main.add_command(compare)
main.add_command(demo)
main.add_command(doctor)
main.add_command(evaluate)
main.add_command(explain)
main.add_command(info)
main.add_command(layers)
main.add_command(methods)
main.add_command(metrics)
main.add_command(models)
main.add_command(show)
