"""The contract of a family of attempts: calls that people make, and the right call with which each is compared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Attempt", "AttemptFamily", "Feed", "Passed", "RightInput", "RightInputs", "fed", "shape_text"]

Array = npt.NDArray[Any]
Passed = Literal["by name", "in order"]


@dataclass(frozen=True, slots=True)
class RightInput:
    """One input of an artifact, and right values for it."""

    name: str
    """The name under which the artifact's library takes it."""
    shape: tuple[int | None, ...]
    """The shape that the artifact states, batch first; None for a dimension of any size; empty if it states none."""
    values: Array
    """A batch, in the dtype that the artifact takes; each input of an artifact has the same number of samples."""


@dataclass(frozen=True, slots=True)
class RightInputs:
    """All inputs of an artifact, in its order."""

    inputs: tuple[RightInput, ...]
    unit: int = 1
    """Number of samples of the right call: the batch size at which the artifact is fixed, or 1."""

    @property
    def n(self) -> int:
        """Number of samples, a multiple of `unit`."""
        return len(self.inputs[0].values)

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The values of each input."""
        return tuple(one.values for one in self.inputs)


@dataclass(frozen=True, slots=True)
class Feed:
    """One array under a name."""

    name: str
    values: Array


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call."""

    call: str
    """What is fed, in words."""
    feeds: tuple[Feed, ...]
    right: tuple[Array, ...]
    """What the right call would be fed for these samples, in the artifact's order: a multiple of `RightInputs.unit`."""
    passed: Passed | None = None
    """None passes the inputs as the right call does."""


AttemptFamily = Callable[[RightInputs], Iterator[Attempt]]
"""A member of the family: the attempts that make sense for these inputs, in the order in which they are shown."""


def fed(right: RightInputs, arrays: tuple[Array, ...]) -> tuple[Feed, ...]:
    """Arrays under the names of the inputs."""
    return tuple(Feed(one.name, np.ascontiguousarray(values)) for one, values in zip(right.inputs, arrays, strict=True))


def shape_text(arrays: tuple[Array, ...]) -> str:
    """The shapes of arrays, for the words of a call.

    >>> shape_text((np.zeros((2, 3)), np.zeros(4)))
    '(2, 3) and (4,)'
    """
    return " and ".join(str(values.shape) for values in arrays)
