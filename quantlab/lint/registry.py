"""Registry of the hazards; a new hazard is a `Hazard` in a file of `hazards`, and a new file is a line here."""

from collections.abc import Mapping

from quantlab.lint.contract import Hazard
from quantlab.lint.hazards import (
    behaviour,
    integer_files,
    labels,
    layers_model,
    ports,
    ranges,
    runtimes,
    unsupported,
    values,
)

__all__ = ["HAZARDS"]

HAZARDS: Mapping[str, Hazard] = {
    hazard.id: hazard
    for family in (values, ranges, labels, integer_files, ports, behaviour, unsupported, runtimes, layers_model)
    for hazard in family.HAZARDS
}
"""Hazards by id, in the order of the documentation."""
