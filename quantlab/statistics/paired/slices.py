"""Losses by attributes of the samples, and the classes and slices of which nothing is known."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.classes import class_losses
from quantlab.statistics.scores.samples import ReferenceSamples, SampleAttribute
from quantlab.types import ClassLoss, SliceLosses

__all__ = ["losses_by_class", "losses_by_slice", "unscored_classes"]

_Right = NDArray[np.bool_]


def losses_by_class(
    reference: ReferenceSamples, sides: tuple[_Right, _Right], confidence: float
) -> tuple[ClassLoss, ...]:
    """Loss of each class that has samples, see `class_losses`, with the names of the classes.

    Args:
        reference: With labels of classes.
        sides: (n,) and (n,): which samples the reference and the candidate answer right.
        confidence: One-sided.
    """
    losses, names = class_losses(np.asarray(reference.labels), *sides, confidence=confidence), reference.class_names
    return tuple(replace(loss, name=_name_of(loss.label, names)) for loss in losses)


def losses_by_slice(
    reference: ReferenceSamples, sides: tuple[_Right, _Right], confidence: float
) -> tuple[SliceLosses, ...]:
    """Loss of each slice of each attribute of the samples, see `class_losses`."""
    return tuple(_of_attribute(attribute, sides, confidence) for attribute in reference.attributes)


def _of_attribute(attribute: SampleAttribute, sides: tuple[_Right, _Right], confidence: float) -> SliceLosses:
    absent = _absent(attribute.places, len(attribute.values))
    return SliceLosses(
        attribute.name,
        tuple(
            replace(loss, name=attribute.values[loss.label])
            for loss in class_losses(attribute.places, *sides, confidence=confidence)
        ),
        tuple(attribute.values[place] for place in absent),
    )


def unscored_classes(reference: ReferenceSamples) -> tuple[str, ...]:
    """The classes that the scored output has and no sample, by number and name: `3` or `3 (boots)`.

    An output of class numbers does not tell how many there are: then those up to the largest number are known, of the
    labels and of the reference's output.
    """
    if reference.labels is None:
        return ()
    where = reference.positions
    count = where.classes if where is not None and where.single else reference.class_count
    names = reference.class_names
    absent = _absent(np.asarray(reference.labels), max(count, len(names)))
    return tuple(f"{label} ({name})" if (name := _name_of(label, names)) else str(label) for label in absent)


def _absent(labels: NDArray[Any], count: int) -> list[int]:
    """The numbers from 0 to count − 1 that are not among the labels."""
    return [int(number) for number in np.flatnonzero(~np.isin(np.arange(count), labels))]


def _name_of(label: int, names: Sequence[str]) -> str:
    """The name of a class; empty if it has none, or is called by its number."""
    return names[label] if label < len(names) and names[label] != str(label) else ""
