"""A map and the picture that it explains, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gradcam_cli.cam.blank_maps import BlankMap
from gradcam_cli.files.marks import mark
from gradcam_cli.files.storage import AnyPath, to_path
from gradcam_cli.files.writing import written_whole
from gradcam_cli.models.labels import Prediction
from gradcam_cli.rendering.caption import add_caption
from gradcam_cli.rendering.color_scale import (
    DEFAULT_ALPHA,
    DEFAULT_COLORMAP,
    DEFAULT_SIGNED_ALPHA,
    DEFAULT_SIGNED_COLORMAP,
    bar_colors,
)
from gradcam_cli.rendering.encoding import encode_picture, format_for
from gradcam_cli.rendering.overlay import draw_heatmap, draw_overlay


@dataclass(frozen=True, kw_only=True)
class ExplainedMap:
    """A map for a class, and the picture that it explains.

    A notebook displays it as the overlay, with the class and its probability below.

    Attributes:
        picture: The picture, mode "RGB", upright.
        heat: The map, (height, width) float32 in [0, 1], or in [-1, 1] if it is signed, over
            the region of the picture that the network saw.
        position: The left and top edge of that region, in pixels.
        target: The explained class.
        title: A title with class, method, model and layer.
        source: The file of the picture; None if it was in memory.
        colormap: The name of a Matplotlib colormap.
        alpha: The opacity of the map, 0 to 1.
        made_by: Method, model and layer, as a notebook shows them.
        ends: What negative and positive values of the map mean in a word; None if it isn't signed.
        blank: Why the map shows nothing; None if it shows something.
    """

    picture: Image.Image
    heat: np.ndarray
    position: tuple[int, int]
    target: Prediction
    title: str
    source: AnyPath | None = None
    colormap: str = DEFAULT_COLORMAP
    alpha: float = DEFAULT_ALPHA
    made_by: str = ""
    ends: tuple[str, str] | None = None
    blank: BlankMap | None = None

    @property
    def overlay(self) -> Image.Image:
        """The coloured map over the picture, mode "RGB", of the picture's size."""
        return draw_overlay(
            self.picture,
            self.heat,
            self.position,
            self.colormap,
            self.alpha,
            signed=self.ends is not None,
        )

    @property
    def heatmap(self) -> np.ndarray:
        """The map at the size of the picture, (height, width) float32, in the range of `heat`.

        It is 0 outside the region that the network saw, and all zeros if nothing in the
        picture speaks for the class.
        """
        return draw_heatmap(self.heat, self.picture.size, self.position)

    @property
    def has_evidence(self) -> bool:
        """Whether anything in the picture speaks for the class."""
        return bool(self.heat.any())

    def save(self, path: str | AnyPath) -> AnyPath:
        """Writes the overlay and replaces an existing file of that name.

        Args:
            path: The file to write, or its URL. The extension chooses JPEG, WebP or PNG.

        Returns:
            The same path.

        Raises:
            OutputError: The file can't be written.
        """
        path = to_path(path)
        encoded = encode_picture(
            self.overlay,
            format_for(path),
            None if self.source is None else mark(self.source, path.parent, self.title),
            self.picture.info.get("icc_profile"),
        )
        with written_whole(path) as file:
            file.write(encoded)
        return path

    def _repr_png_(self) -> bytes:
        target, detail = self.target, self.made_by
        note = "" if self.blank is None else self.blank.sentence
        bar = None if self.ends is None else (bar_colors(self.colormap, True), self.ends)
        return encode_picture(
            add_caption(self.overlay, target.name, target.text, detail, note, bar)
        )

    def __repr__(self) -> str:
        return f"<{self.title}, {self.target.text}>"


def choose_colors(colormap: str | None, alpha: float | None, *, signed: bool) -> tuple[str, float]:
    """Returns the colormap and the opacity of a map.

    Args:
        colormap: What the caller chose; None for the usual one of such maps.
        alpha: What the caller chose, 0 to 1; None for the usual one of such maps.
        signed: Whether the map has negative values too.
    """
    usual = (DEFAULT_COLORMAP, DEFAULT_ALPHA)
    if signed:
        usual = (DEFAULT_SIGNED_COLORMAP, DEFAULT_SIGNED_ALPHA)
    return colormap or usual[0], usual[1] if alpha is None else alpha
