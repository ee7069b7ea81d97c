"""The methods of the class activation map family.

Notation: A is a layer's output, A^k its k-th feature map, and y^c the score of class c before
softmax. i and j run over the Z cells of a map. A method returns the sum that its paper
defines, before the final ReLU. The callers apply the ReLU, because not all of them want it.

Most methods are a function of A and the gradient of y^c with respect to A. A new one needs
only such a function and a row in `gradcam_cli.cam.methods.table`. To give it a Python class of
its own, add one to `gradcam_cli.api.explainers` and a line to the package's ``__init__.pyi``.
A method that needs more is a class derived from `InGraphMethod` or `PerturbationMethod`.
"""
