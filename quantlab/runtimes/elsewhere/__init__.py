"""What runs a model elsewhere: samples as raw tensors, and programs without dependencies on quantlab."""

from quantlab.runtimes.elsewhere.inputs import DUMPERS, FORMAT, write_inputs

__all__ = ["DUMPERS", "FORMAT", "write_inputs"]
