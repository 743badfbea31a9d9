"""What runs a model elsewhere: samples as raw tensors, programs without quantlab, and releases of packages."""

from quantlab.runtimes.elsewhere.inputs import DUMPERS, FORMAT, write_inputs, write_layer_inputs
from quantlab.runtimes.elsewhere.layers import layer_tensors, write_tapped_copy
from quantlab.runtimes.elsewhere.packages import PACKAGES, Package, Release

__all__ = [
    "DUMPERS",
    "FORMAT",
    "PACKAGES",
    "Package",
    "Release",
    "layer_tensors",
    "write_inputs",
    "write_layer_inputs",
    "write_tapped_copy",
]
