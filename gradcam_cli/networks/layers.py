"""Chooses the layer whose feature maps are explained."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf

from gradcam_cli.errors import UnknownLayerError, UnusableLayerError, suggestion
from gradcam_cli.networks.bottleneck import rank_from_bottleneck
from gradcam_cli.networks.dense import own_scores
from gradcam_cli.networks.forward import ForwardPass, LayerNode, Network
from gradcam_cli.networks.grids import INDEPENDENT, Grid, NoGrid
from gradcam_cli.networks.operations import operation_names
from gradcam_cli.networks.shared_features import last_shared

_ATTENTION = "attention"
# Layers that bring all tokens to the same length, including those of the background.
_NORMALIZATIONS = ("LayerNormalization", "RMSNormalization")
# In the names of Keras, and in those of TensorFlow for the scopes of a SavedModel.
_CONVOLUTION = re.compile(
    r"(Depthwise|Separable)?Conv[123]D(Transpose|BackpropInput)?|DepthwiseConv2dNative"
)
# (N, classes)
_RANK_OF_SCORES = 2
# The layers that Keras 2 makes of operations in a functional model.
_OPERATION_LAYERS = ("SlicingOpLambda", "TFOpLambda")
_REARRANGING = operation_names(
    *("ExpandDims", "GatherV2", "Identity", "Pad", "Reshape", "Roll", "Slice", "Split", "SplitV"),
    *("Squeeze", "StridedSlice", "Transpose"),
)
_NORMALIZATION_NAMES = ("layer_norm", "layernorm", "rms_norm")
# Layers that keep the shape of the pictures, and the place of each pixel.
_BEFORE_FLATTENING = ("InputLayer", "Rescaling", "Normalization", "Dropout")


@dataclass(frozen=True)
class LayerInfo:
    """One layer, for inputs of one shape.

    Attributes:
        node: The layer.
        output_shape: Without the batch; None if it wasn't called or returns no tensor.
        grid: Its output as feature maps; None if it can't be explained.
        default: Whether it is explained if no other layer is named.
        reason: Why it is the default; empty if it isn't.
        is_sum: Whether its output is a sum of feature maps, as in a residual block.
    """

    node: LayerNode
    output_shape: tuple[int | None, ...] | None
    grid: Grid | None
    default: bool
    reason: str
    is_sum: bool

    @property
    def usable(self) -> bool:
        """Whether it can be explained."""
        return self.grid is not None


def flattens_first(network: Network) -> bool:
    """Returns whether a network flattens its inputs before any layer that has weights."""
    kinds = [node.kind for node in network.nodes if node.kind not in _BEFORE_FLATTENING]
    return kinds[:1] == ["Flatten"]


def list_layers(network: Network, forward: ForwardPass) -> list[LayerInfo]:
    """Lists the layers of a network.

    Args:
        network: The network.
        forward: A pass through it, in the graph that is being traced.
    """
    defaults = [next(_default_taps(network, forward), None)]
    if forward.detected is not None and defaults != [None]:
        defaults = [*detector_taps(network, forward)]
    innermost = _innermost(forward)
    infos = []
    for node in network.nodes:
        output = forward.layer_outputs.get(node.path)
        shape = None if output is None else tuple(output.shape[1:])
        grid = None if output is None else _usable_grid(forward, node.path)
        is_default = node.path in defaults
        reason = why_default(forward, node.path) if is_default else ""
        is_sum = (
            output is not None
            and innermost[output.name] == node.path
            and not _is_normalization(node)
            and forward.is_sum(node.path)
        )
        infos.append(LayerInfo(node, shape, grid, is_default, reason, is_sum))
    return infos


def choose_tap(
    network: Network,
    forward: ForwardPass,
    layer: str | int | None,
    *,
    after_normalization: bool = False,
) -> str:
    """Finds the layer that a user means, or the default layer.

    Args:
        network: The traced network.
        forward: A pass through it.
        layer: A name, or a path for nested layers; an index among the outermost layers
            (negative ones count from the end); or None for the default (see `default_tap`).
        after_normalization: As for `default_tap`.

    Returns:
        The path of a layer in ``forward.layer_outputs`` that can be explained.

    Raises:
        UnknownLayerError: The network has no such layer.
        UnusableLayerError: The layer's output isn't spatial, or the score doesn't depend on it.
    """
    if layer is None:
        return default_tap(network, forward, after_normalization=after_normalization)
    path = _path_at(network, layer) if isinstance(layer, int) else _path_named(network, layer)
    feature_grid(forward, path)
    return path


def default_tap(
    network: Network, forward: ForwardPass, *, after_normalization: bool = False
) -> str:
    """Finds the last layer with feature maps that the score depends on.

    Pooling, padding, dropout and reshaping are skipped: their output shows no more than their
    input, and that of pooling is coarser. So the layer is ``block5_conv4`` in VGG19, as in the
    paper, and the last activation or addition in networks that end in global pooling.

    If all tokens contribute to the scores, it is the output of the last block. The normalization
    after it limits the contribution of a single token, so that the background contributes too.
    If only a class token contributes, it is the last layer on whose patches the scores depend:
    the normalization before the attention of the last block.

    In a network for segmentation, it is the end of the bottleneck (see
    `gradcam_cli.networks.bottleneck`). The last layer would be the output itself.

    Args:
        network: The traced network.
        forward: A pass through it.
        after_normalization: Whether to include the normalization after the last block. Methods
            that multiply each cell by its own gradient give a meaningless map before it.

    Raises:
        UnusableLayerError: The network has no such layer.
    """
    path = next(_default_taps(network, forward, after_normalization), None)
    if path is None:
        found = map(forward.grid, forward.layer_outputs)
        lost = next((grid.lost for grid in found if isinstance(grid, NoGrid) and grid.lost), None)
        because = f" (the picture's rows and columns are lost in {lost})" if lost else ""
        raise UnusableLayerError(
            f"{network.name} has no layer with a spatial output{because}; methods that observe "
            f"only its scores explain it, such as rise (--method rise)"
        )
    return path


def detector_taps(network: Network, forward: ForwardPass) -> list[str]:
    """Finds the default layers of a detector: the last ones that boxes and scores share.

    A detector has one for each level of its pyramid. Only the level that made a box has a gradient
    of its score. Layers after which each cell is scored alone are passed over: their maps would be
    a single cell.

    Args:
        network: The traced network.
        forward: A pass through it.

    Returns:
        The paths of the layers, in the order of their calls.

    Raises:
        UnusableLayerError: The network has no layer with a spatial output.
    """
    first = default_tap(network, forward)
    assert forward.detected is not None
    features = {
        forward.layer_outputs[path].name: path
        for path in _last_features(network, forward, False, [])
    }
    found = last_shared(forward.detected, forward.inputs, features)
    return [path for path in forward.layer_outputs if path in found] or [first]


def convolution_taps(forward: ForwardPass) -> list[str]:
    """Finds all convolutions whose feature maps the score depends on.

    Feature maps of a single cell, as in squeeze and excitation, are left out, and so are the scores
    of a network that segments.

    Args:
        forward: A pass through the network.

    Returns:
        The paths of the layers, in the order of their calls.
    """
    kinds = {node.path: node.kind for node in forward.nodes}
    innermost = _innermost(forward)
    scores = set() if forward.dense is None else own_scores(forward.dense.raw)
    found = []
    for path, output in forward.layer_outputs.items():
        is_inner = innermost[output.name] == path and output.name not in scores
        if not is_inner or _CONVOLUTION.fullmatch(kinds.get(path, "")) is None:
            continue
        grid = _usable_grid(forward, path)
        if grid is not None and math.prod(grid.size) > 1:
            found.append(path)
    return found


def why_default(forward: ForwardPass, path: str) -> str:
    """Says in a few words why a layer is the default.

    Args:
        forward: A pass through the network.
        path: The path that `default_tap` returned.
    """
    grid = forward.grid(path)
    if forward.detected is not None:
        return "the last that boxes and scores share"
    if forward.dense is not None:
        return "the end of the bottleneck: the last with the coarsest cells"
    if not isinstance(grid, Grid) or not grid.are_tokens:
        reason = "the last with a spatial output"
    elif _is_before_unused_patches(forward, path):
        reason = "the last whose patches the class score depends on"
    else:
        reason = "the last with patch tokens"
    lost = _lost_later(forward, path)
    return reason if lost is None else f"{reason}; later positions are lost in {lost}"


def _lost_later(forward: ForwardPass, path: str) -> str | None:
    """Returns what prevents later layers that look like feature maps from being explained."""
    for other in _called_after(forward, path):
        found = forward.grid(other)
        is_map = (forward.layer_outputs[other].shape.rank or 0) > _RANK_OF_SCORES
        if isinstance(found, NoGrid) and found.lost and is_map and forward.uses_patches(other):
            return found.lost
    return None


def _is_before_unused_patches(forward: ForwardPass, path: str) -> bool:
    """Returns whether later layers have patches that the scores don't depend on."""
    return any(
        isinstance(forward.grid(other), Grid) and not forward.uses_patches(other)
        for other in _called_after(forward, path)
    )


def _called_after(forward: ForwardPass, path: str) -> list[str]:
    paths = list(forward.layer_outputs)
    return paths[paths.index(path) + 1 :]


def feature_grid(forward: ForwardPass, path: str) -> Grid:
    """Returns the grid of a layer's feature maps.

    Args:
        forward: A pass through the network.
        path: The layer.

    Raises:
        UnusableLayerError: The layer has none, or the score doesn't depend on them.
    """
    if path not in forward.layer_outputs:
        raise UnusableLayerError(
            f"layer {path} returns nothing that can be explained; 'gradcam layers' marks the "
            f"layers that can be explained"
        )
    found = forward.grid(path)
    if isinstance(found, NoGrid):
        shape = format_shape(tuple(forward.layer_outputs[path].shape[1:]))
        problem = f"layer {path} has no spatial output: its output ({shape}) {found.reason}"
        if found.reason == INDEPENDENT:
            problem = f"layer {path} {INDEPENDENT}"
    elif not forward.uses_patches(path):
        patches = f"the patches of layer {path}" if found.are_tokens else f"layer {path}"
        problem = f"the class score does not depend on {patches}"
    else:
        return found
    raise UnusableLayerError(f"{problem}; {_say_usable(forward, path)}")


def _usable_grid(forward: ForwardPass, path: str) -> Grid | None:
    found = forward.grid(path)
    return found if isinstance(found, Grid) and forward.uses_patches(path) else None


def _say_usable(forward: ForwardPass, path: str) -> str:
    """Names a layer that can be explained in place of one that can't."""
    paths = list(forward.layer_outputs)
    place = paths.index(path)
    by_distance = sorted(range(len(paths)), key=lambda other: (abs(other - place), other))
    nearest = next((paths[n] for n in by_distance if _usable_grid(forward, paths[n])), None)
    if nearest is None:
        return "none of the model's layers can be explained"
    return f"the nearest layer that can be explained is {nearest} ('gradcam layers' lists all)"


def _default_taps(
    network: Network, forward: ForwardPass, after_normalization: bool = False
) -> Iterator[str]:
    """Yields the candidates for the default layer, best first."""
    second_best: list[str] = []
    features = _last_features(network, forward, after_normalization, second_best)
    if forward.dense is None:
        yield from features
    else:
        outputs = {path: forward.layer_outputs[path] for path in features}
        scores = own_scores(forward.dense.raw)
        second_best += [path for path, output in outputs.items() if output.name in scores]
        for path in second_best:
            outputs.pop(path, None)
        areas = {path: _cell_area(forward, path) for path in outputs}
        yield from rank_from_bottleneck(forward.dense.raw, outputs, areas)
    yield from second_best


def _cell_area(forward: ForwardPass, path: str) -> float:
    """Returns the area of a layer's cells in input pixels, rounded so that equal ones match."""
    grid = forward.grid(path)
    return round(math.prod(grid.pitch), 3) if isinstance(grid, Grid) else 0.0


def _last_features(
    network: Network, forward: ForwardPass, after_normalization: bool, second_best: list[str]
) -> Iterator[str]:
    """Yields the layers with feature maps, last first, and collects the others."""
    nodes = {node.path: node for node in network.nodes}
    innermost = _innermost(forward)
    projections: list[str] = []
    for path, output in reversed(forward.layer_outputs.items()):
        if nodes[path].is_transparent or innermost[output.name] != path:
            continue
        grid = _usable_grid(forward, path)
        if grid is None:
            continue
        is_normalization = _is_normalization(nodes[path])
        is_before_attention = _is_before_unused_patches(forward, path)
        # A single map weights other maps, like the weights of attention over positions.
        is_weight = grid.number_of_channels == 1
        is_last_normalization = is_normalization and not (
            after_normalization or is_before_attention
        )
        if (
            is_weight
            or is_last_normalization
            or _is_in_attention(nodes, path)
            or _takes_apart(nodes[path], output)
        ):
            second_best.append(path)
        elif is_before_attention and not is_normalization and not forward.is_sum(path):
            # Queries, keys and values of attention that isn't a layer.
            projections.append(path)
        elif is_normalization:
            yield path
        else:
            yield from projections
            projections.clear()
            yield path
    yield from projections


def _takes_apart(node: LayerNode, output: tf.Tensor) -> bool:
    """Returns whether a Keras 2 layer is an operation that only rearranges its input."""
    return node.kind in _OPERATION_LAYERS and output.op.type in _REARRANGING


def _innermost(forward: ForwardPass) -> dict[str, str]:
    """Finds for each tensor, by its name, the innermost layer that returns it.

    An outer layer returns the output of its last inner layer, and the inner one says more.
    """
    paths: dict[str, str] = {}
    for path, output in forward.layer_outputs.items():
        paths.setdefault(output.name, path)
    return paths


def _is_in_attention(nodes: dict[str, LayerNode], path: str) -> bool:
    """Returns whether a layer is part of attention: queries, keys and values aren't features."""
    parents = path.split("/")[:-1]
    outer = ["/".join(parents[: number + 1]) for number in range(len(parents))]
    # A SavedModel has only names of scopes, no layers.
    kinds = [nodes[other].kind if other in nodes else other.rpartition("/")[2] for other in outer]
    return any(_ATTENTION in kind.lower() for kind in kinds)


def _is_normalization(node: LayerNode) -> bool:
    name = node.path.rpartition("/")[2].lower()
    return node.kind in _NORMALIZATIONS or name.startswith(_NORMALIZATION_NAMES)


def format_shape(shape: tuple[int | None, ...]) -> str:
    """Formats a shape as 7×7×1280."""
    return "×".join("?" if size is None else str(size) for size in shape) or "a single number"


def _path_at(network: Network, index: int) -> str:
    paths = [node.path for node in network.nodes if node.index is not None]
    if not -len(paths) <= index < len(paths):
        raise UnknownLayerError(
            f"{network.name} has no layer {index}: indices go from {-len(paths)} to "
            f"{len(paths) - 1}"
        )
    return paths[index]


def _path_named(network: Network, name: str) -> str:
    paths = [node.path for node in network.nodes]
    if name in paths:
        return name
    nested = [path for path in paths if path.endswith(f"/{name}")]
    if len(nested) == 1:
        return nested[0]
    if nested:
        raise UnknownLayerError(
            f"{network.name} has {len(nested)} layers {name!r}; choose one: {', '.join(nested)}"
        )
    hint = suggestion(name, paths, likeness=0.5)
    raise UnknownLayerError(
        f"{network.name} has no layer {name!r}{hint} ('gradcam layers' lists all of them)"
    )
