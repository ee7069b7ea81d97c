"""The choice of the layer whose feature maps are explained."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from gradcam_cli.errors import UnknownLayerError, UnusableLayerError, suggestion
from gradcam_cli.networks.forward import ForwardPass, LayerNode, Network


@dataclass(frozen=True)
class LayerInfo:
    """One layer as it is for inputs of one shape.

    Attributes:
        node: The layer.
        output_shape: Without the batch; None if it wasn't called or returns no tensor.
        usable: Whether a Grad-CAM can be drawn from it.
        default: Whether it is the one that is explained unless another is named.
    """

    node: LayerNode
    output_shape: tuple[int | None, ...] | None
    usable: bool
    default: bool


def list_layers(network: Network, forward: ForwardPass) -> list[LayerInfo]:
    """Lists the layers of a network.

    Args:
        network: The network.
        forward: A pass through it, in the graph that is being traced.
    """
    default = default_tap(network, forward)
    infos = []
    for node in network.nodes:
        feature_map = forward.feature_maps.get(node.path)
        usable = (
            feature_map is not None
            and is_spatial(feature_map)
            and forward.score_depends_on(feature_map)
        )
        shape = None if feature_map is None else tuple(feature_map.shape[1:])
        infos.append(LayerInfo(node, shape, usable, node.path == default))
    return infos


def choose_tap(network: Network, forward: ForwardPass, layer: str | int | None) -> str:
    """Finds the layer that a user means.

    Args:
        network: The network that was traced.
        forward: Its pass.
        layer: A name, or a path where layers are nested; an index among the outermost
            layers (negative from the end); or None for the last layer with a spatial
            output (see `default_tap`).

    Returns:
        The path of a layer in ``forward.feature_maps`` from which maps can be drawn.

    Raises:
        UnknownLayerError: There is no such layer.
        UnusableLayerError: Its output isn't spatial, or the score doesn't depend on it.
    """
    if layer is None:
        return default_tap(network, forward)
    path = _path_at(network, layer) if isinstance(layer, int) else _path_named(network, layer)
    usable = "; 'gradcam layers' marks the layers that can be explained"
    feature_map = forward.feature_maps.get(path)
    if feature_map is None:
        raise UnusableLayerError(f"layer {path} returns nothing that can be explained{usable}")
    if not is_spatial(feature_map):
        raise UnusableLayerError(
            f"layer {path} has no spatial output (its output is "
            f"{format_shape(tuple(feature_map.shape[1:]))}), so it knows no places to show{usable}"
        )
    if not forward.score_depends_on(feature_map):
        raise UnusableLayerError(f"the class score does not depend on layer {path}{usable}")
    return path


def default_tap(network: Network, forward: ForwardPass) -> str:
    """Finds the last layer with a spatial output that the score depends on.

    Pooling, padding and dropout are passed over: what they return shows no more than
    their input does, and pooling shows it coarser. So it is ``block5_conv4`` in VGG19,
    as in the paper, and the last activation or addition in networks that end in global
    pooling.

    Raises:
        UnusableLayerError: The network has no such layer.
    """
    nodes = {node.path: node for node in network.nodes}
    # A layer returns what the last layer inside it returned; the inner one says more.
    innermost: dict[str, str] = {}
    for path, feature_map in forward.feature_maps.items():
        innermost.setdefault(feature_map.name, path)
    for path, feature_map in reversed(forward.feature_maps.items()):
        if nodes[path].is_transparent or innermost[feature_map.name] != path:
            continue
        if is_spatial(feature_map) and forward.score_depends_on(feature_map):
            return path
    raise UnusableLayerError(
        f"{network.name} has no layer with a spatial output, so Grad-CAM has nothing to show"
    )


def is_spatial(feature_map: tf.Tensor) -> bool:
    """Says whether a tensor has (N, rows, columns, channels) with more than one cell."""
    return feature_map.shape.rank == 4 and tuple(feature_map.shape[1:3]) != (1, 1)


def format_shape(shape: tuple[int | None, ...]) -> str:
    """Writes a shape as 7×7×1280."""
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
            f"{network.name} has {len(nested)} layers {name!r}; say which: {', '.join(nested)}"
        )
    hint = suggestion(name, paths, likeness=0.5)
    raise UnknownLayerError(
        f"{network.name} has no layer {name!r}{hint} ('gradcam layers' lists all of them)"
    )
