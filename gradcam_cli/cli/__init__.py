"""The command line: parses, calls, prints."""

from __future__ import annotations

import click

from gradcam_cli.cli.best_layer import best_layer
from gradcam_cli.cli.demo import demo
from gradcam_cli.cli.doctor import doctor
from gradcam_cli.cli.evaluate import evaluate
from gradcam_cli.cli.explain import explain
from gradcam_cli.cli.group import GradcamGroup
from gradcam_cli.cli.info import info
from gradcam_cli.cli.layers import layers
from gradcam_cli.cli.methods import methods
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
    """Shows where an image classifier looked, and why this class.

    \b
    gradcam demo                   try it: explains two pictures that come with it
    gradcam photo.jpg              overlay photo_gradcam.png, top classes
    gradcam photos/ --out maps/    every picture below a folder
    gradcam show photo.jpg         in a window or in the terminal
    gradcam evaluate photos/       can the maps be trusted?
    gradcam explain --help         all options

    A file or folder that has the name of a command is written ./models.
    """


main.add_command(best_layer)
main.add_command(demo)
main.add_command(doctor)
main.add_command(evaluate)
main.add_command(explain)
main.add_command(info)
main.add_command(layers)
main.add_command(methods)
main.add_command(models)
main.add_command(show)
