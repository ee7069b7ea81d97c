"""Chooses the layers of a network that are worth comparing."""

from __future__ import annotations

from gradcam_cli.models.classifier import Classifier

# One residual sum after attention and one after the perceptron.
_SUMS_OF_A_BLOCK = 2


def candidate_layers(classifier: Classifier) -> list[str]:
    """Chooses the layers worth comparing: the last one of each output shape.

    Pooling and similar layers are left out, and so are outputs as large as the input. All
    blocks of a transformer have the same shape, so the output of each block is included,
    and the default layer.
    """
    last: dict[tuple[int | None, ...], str] = {}
    sums: list[str] = []
    default: list[str] = []
    for layer in classifier.layers():
        shape = layer.output_shape
        if layer.grid is None or layer.node.is_transparent or shape is None:
            continue
        path = layer.node.path
        if layer.grid.are_tokens:
            default += [path] * layer.default
            sums += [path] * layer.is_sum
        elif tuple(shape[:2]) != classifier.input_size:
            last.pop(shape, None)
            last[shape] = path
    # Every block also has a sum in its middle, after attention.
    blocks = sums[::-_SUMS_OF_A_BLOCK][::-1]
    return list(dict.fromkeys([*last.values(), *blocks, *default]))
