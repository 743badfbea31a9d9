"""Calls of an artifact as a user's own program makes them: any arrays, under any names, with no check before.

Arrays cross as files of raw bytes (C order, little-endian), because a wrong call may have any shape and dtype.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Call", "FedTensor"]


@dataclass(frozen=True, slots=True)
class FedTensor:
    """One array of a call."""

    name: str
    """The name under which it is passed; without effect in a call `in order`."""
    file: str
    """Its bytes and nothing else."""
    shape: tuple[int, ...]
    """The whole shape, with the batch if it has one."""
    dtype: str
    """NumPy's name."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call."""

    inputs: tuple[FedTensor, ...]
    passed: Literal["by name", "in order"]
    """Whether the inputs are passed as a dictionary, or as a list."""
    outputs: str
    """Path to which the child writes output 0 as `<outputs>-0.bin`, and so on."""
