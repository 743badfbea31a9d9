"""The smallest sub-graph of an artifact that still differs from its baseline, for an issue upstream."""

from quantlab.study.reduction.reduce import ReduceOptions, reduce_study

__all__ = ["ReduceOptions", "reduce_study"]
