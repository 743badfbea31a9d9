"""What a file of another program says: outputs, the samples that they are of, and facts about the program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import SamplesError
from quantlab.names import excerpt, listed
from quantlab.study.importing.arrays import Rows
from quantlab.types import TensorSpec

__all__ = ["Dump", "facts_of", "named_outputs", "sizes_of", "text_of"]

_MOST_FACTS = 50
"""Most facts that a program tells of itself; further ones are ignored."""


@dataclass(frozen=True, slots=True, eq=False)
class Dump:
    """The outputs of a program, and what it tells about its samples and itself."""

    outputs: Mapping[str, Rows]
    """Output of the model → (n, …), in the order of the samples."""
    samples_sha256: str | None = None
    crc32: npt.NDArray[np.int64] | None = None
    """(n,): CRC-32 of the bytes of each sample that the program was fed, all inputs in their order."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions, device and flags, as the program tells them."""


def named_outputs(path: Path, held: Sequence[str], outputs: Sequence[TensorSpec]) -> dict[str, str]:
    """Output of the model → name in the file, of those that the file has."""
    names = {spec.name: spec.name for spec in outputs if spec.name in held}
    if not names and len(held) == 1 and len(outputs) == 1:
        return {outputs[0].name: held[0]}
    if not names:
        found = f"the arrays {listed(held)}" if held else "no arrays"
        raise SamplesError(
            f"'{path}' has {found}, and none for {_outputs_words(outputs)}; name the arrays after the outputs of the "
            f"model"
        )
    return names


def _outputs_words(outputs: Sequence[TensorSpec]) -> str:
    names = listed([spec.name for spec in outputs])
    return f"the output {names}" if len(outputs) == 1 else f"the outputs {names}"


def sizes_of(spec: TensorSpec) -> tuple[int, ...]:
    """Shape of one sample's output."""
    return tuple(size or 0 for size in spec.shape[1:])


def facts_of(environment: Any) -> dict[str, str]:
    """What a program tells of itself, as text."""
    if environment is None:
        return {}
    if not isinstance(environment, dict):
        raise ValueError("its environment is no JSON object")
    told = list(environment.items())[:_MOST_FACTS]
    return {excerpt(str(name)): excerpt(str(value), most=200) for name, value in told}


def text_of(value: Any) -> str | None:
    """A value of JSON as text; None for null."""
    return None if value is None else str(value)
