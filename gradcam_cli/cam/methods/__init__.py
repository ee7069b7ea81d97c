"""The methods of the class activation map family.

Notation: A is a layer's output, A^k its k-th feature map, y^c the score of class c before
softmax; i and j run over the Z cells of a map. A map is returned as the sum that its paper
defines, before the final ReLU: those who call the methods take it, because not all do.

Most methods are a function of A and the gradient of y^c by A: such a function, and a line
in `gradcam_cli.method_names`, is all that a new one takes. What needs more is a class
derived from `InGraphMethod` or `PerturbationMethod`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

from gradcam_cli.cam.methods.protocol import FormulaMethod, InGraphMethod, PerturbationMethod
from gradcam_cli.method_names import find_method

Method = InGraphMethod | PerturbationMethod


def make_method(name: str, **parameters: Any) -> Method:
    """Makes a method ready for use, importing nothing of the others.

    Args:
        name: A key of `gradcam_cli.method_names.METHODS`.
        **parameters: The method's own parameters, where it has any.

    Raises:
        UsageError: There is no such method.
        TypeError: It has no such parameter.
    """
    module, _, attribute = find_method(name).implementation.partition(".")
    found = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    if isinstance(found, type):
        method: Method = found(**parameters)
        return method
    # Fails here rather than at the first map.
    inspect.signature(found).bind_partial(**parameters)
    return FormulaMethod(functools.partial(found, **parameters) if parameters else found)
