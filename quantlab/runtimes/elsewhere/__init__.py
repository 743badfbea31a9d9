"""What runs a model elsewhere: samples as raw tensors, programs without quantlab, and releases of packages."""

from quantlab.runtimes.elsewhere.inputs import DUMPERS, FORMAT, write_inputs
from quantlab.runtimes.elsewhere.packages import PACKAGES, Package, Release

__all__ = ["DUMPERS", "FORMAT", "PACKAGES", "Package", "Release", "write_inputs"]
