"""The smallest part of an artifact that still differs from its baseline, for an issue that somebody else can run."""

from quantlab.study.reduction.reduce import ReduceOptions, reduce_study

__all__ = ["ReduceOptions", "reduce_study"]
