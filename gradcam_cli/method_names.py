"""The methods by the names that users type, without the mathematics behind them."""

from __future__ import annotations

DEFAULT_METHOD = "gradcam"

METHOD_TITLES = {
    "gradcam": "Grad-CAM",
}
