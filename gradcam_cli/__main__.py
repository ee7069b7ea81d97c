"""Runs the command line: ``python -m gradcam_cli``."""

from gradcam_cli.cli.entry import run

if __name__ == "__main__":
    run()
