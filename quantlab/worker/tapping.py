"""Reading the tensors inside a variant: what a tapped artifact is in the Python worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.processes import Message

__all__ = ["Tapped", "write_answer"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tapped:
    """A loaded artifact whose inner tensors can be read."""

    call: Callable[[Sequence[Array]], tuple[list[Array], list[Array]]]
    """From one batch of each input to the outputs in the job's order, and the taps in the request's."""


def write_answer(file: Path, parts: Sequence[tuple[str, Array]], start: int, stop: int) -> list[Message]:
    """Write tensors one behind the other as float32, and say where each begins; `shape` is of one sample.

    A tensor whose first dimension is not the batch is listed with `reason` instead.
    """
    said: list[Message] = []
    with file.open("r+b" if file.exists() else "w+b") as stream:
        for name, value in parts:
            if value.dtype == object:
                said.append({"name": name, "reason": "its shape changes from sample to sample"})
                continue
            if value.ndim == 0 or len(value) != stop - start:
                said.append({"name": name, "reason": f"its shape {value.shape} does not begin with the batch"})
                continue
            offset = stream.tell()
            stream.write(np.ascontiguousarray(value, dtype=np.float32).reshape(-1).view(np.uint8).data)
            said.append({"name": name, "offset": offset, "shape": list(value.shape[1:])})
    return said
