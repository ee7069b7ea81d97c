"""Shows a figure in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def can_open_window() -> bool:
    """Returns whether there is a display and a toolkit that Matplotlib can use on it."""
    import matplotlib as mpl
    from matplotlib.backends import BackendFilter, backend_registry

    interactive = backend_registry.list_builtin(BackendFilter.INTERACTIVE)
    return mpl.get_backend().lower() in interactive


def open_window(figure: Figure, title: str) -> None:
    """Shows a figure in a window and waits until it is closed.

    Args:
        figure: A figure drawn for the screen.
        title: The title of the window.
    """
    import matplotlib.pyplot as plt

    plt.figure(figure)
    manager = figure.canvas.manager
    if manager is not None:
        manager.set_window_title(title)
    plt.show(block=True)
