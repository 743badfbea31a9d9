"""The contract sheet of a model: what its artifacts take and give, and what becomes of calls that are not right."""

from quantlab.study.inspection.options import InspectOptions
from quantlab.study.inspection.sheet import inspect

__all__ = ["InspectOptions", "inspect"]
