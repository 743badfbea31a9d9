"""Searches the release of a runtime's package that moved the outputs of an artifact."""

from quantlab.study.bisecting.bisect import BisectOptions, bisect_study

__all__ = ["BisectOptions", "bisect_study"]
