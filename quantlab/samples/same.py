"""Whether two studies have the same samples, so that their answers may be compared sample by sample."""

import numpy as np

from quantlab.names import counted
from quantlab.npy import mapped
from quantlab.types import SampleSet

__all__ = ["why_other_samples"]

_COMPARED_ROWS = 256
"""Samples that are compared at once, so that memory does not grow with their number."""


def why_other_samples(one: SampleSet, other: SampleSet) -> str:
    """Say why two stored sets are not the same samples in the same order, as a clause; empty if they are.

    The hashes of sets include the names of the inputs, which differ from model to model. Where the hashes differ, the
    inputs themselves are compared byte by byte, in the order of the models' inputs.
    """
    if why := _why_other_records(one, other):
        return why
    if one.sha256 == other.sha256:
        return ""
    if one.labelled and not (one.labels_sha256 and other.labels_sha256):
        return "their hashes differ"
    return _why_other_inputs(one, other)


def _why_other_records(one: SampleSet, other: SampleSet) -> str:
    """What tells them apart without reading the inputs."""
    if one.n != other.n:
        return f"{counted(one.n, 'sample')} and {other.n:,}"
    if one.labelled != other.labelled:
        return "only one of them has labels"
    if one.labels_sha256 != other.labels_sha256 and one.labels_sha256 and other.labels_sha256:
        return "their labels differ"
    return "their groups differ" if one.groups_sha256 != other.groups_sha256 else ""


def _why_other_inputs(one: SampleSet, other: SampleSet) -> str:
    if [(spec.shape, spec.dtype) for spec in one.inputs] != [(spec.shape, spec.dtype) for spec in other.inputs]:
        return "their inputs have other shapes or data types"
    try:
        equal = all(
            _equal_files(one, mine.name, other, theirs.name)
            for mine, theirs in zip(one.inputs, other.inputs, strict=True)
        )
    except (OSError, ValueError, EOFError):  # EOFError comes from an empty file
        return "their hashes differ, and their inputs cannot be read"
    return "" if equal else "their inputs differ"


def _equal_files(one: SampleSet, name: str, other: SampleSet, other_name: str) -> bool:
    mine, theirs = mapped(one.input_file(name)), mapped(other.input_file(other_name))
    if (mine.shape, mine.dtype) != (theirs.shape, theirs.dtype):
        return False
    return all(
        np.asarray(mine[start : start + _COMPARED_ROWS]).tobytes()
        == np.asarray(theirs[start : start + _COMPARED_ROWS]).tobytes()
        for start in range(0, len(mine), _COMPARED_ROWS)
    )
