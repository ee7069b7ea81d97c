"""From picture files to overlay files as a peer's user writes it: Pillow, the peer, Matplotlib."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

from benchmarks.peers import SIDE, Explain


def explain_files(explain: Explain, pictures: Sequence[Path], out: Path, batch: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    colormap = mpl.colormaps["jet"]
    for start in range(0, len(pictures), batch):
        paths = pictures[start : start + batch]
        images = [Image.open(path).convert("RGB") for path in paths]
        maps = explain(read_inputs(images))
        for path, image, heatmap in zip(paths, images, maps, strict=True):
            scaled = Image.fromarray(heatmap / max(float(heatmap.max()), 1e-12))
            heat = np.asarray(scaled.resize(image.size, Image.Resampling.BILINEAR))
            colored = Image.fromarray(colormap(heat, bytes=True)[..., :3])
            Image.blend(image, colored, 0.5).save(out / f"{path.stem}.png")


def read_inputs(images: Sequence[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(image.resize((SIDE, SIDE))) for image in images])
