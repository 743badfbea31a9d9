"""Inputs of layers in tests."""

from quantlab_converters.hessians import HessianSums, to_steps


def sums_of(inputs, bound):
    """The sums over rows of inputs, (groups, rows, inputs)."""
    return HessianSums.of_steps(to_steps(inputs, bound), bound)
