"""All families of attempts. A new family is a file and a line here."""

from collections.abc import Mapping

from quantlab.study.attempts.batches import batches
from quantlab.study.attempts.contract import AttemptFamily
from quantlab.study.attempts.dtypes import dtypes
from quantlab.study.attempts.layouts import layouts
from quantlab.study.attempts.names import names
from quantlab.study.attempts.ranks import ranks

__all__ = ["ATTEMPTS"]

ATTEMPTS: Mapping[str, AttemptFamily] = {
    "batches": batches,
    "ranks": ranks,
    "dtypes": dtypes,
    "names": names,
    "layouts": layouts,
}
"""Name of a family → its attempts, in the order of the contract sheet."""
