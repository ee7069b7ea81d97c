"""The methods of the class activation map family.

Notation: A is a layer's output, A^k its k-th feature map, y^c the score of class c before
softmax; i and j run over the Z cells of a map. A map is returned as the sum that its paper
defines, before the final ReLU: those who call the methods take it, because not all do.

Most methods are a function of A and the gradient of y^c by A: such a function, and a row
in `gradcam_cli.cam.methods.table`, is all that a new one takes (and, to be called from Python by
a name of its own, a class in `gradcam_cli.api.explainers` and its line in the package's
``__init__.pyi``). What needs more is a class derived from `InGraphMethod` or
`PerturbationMethod`.
"""
