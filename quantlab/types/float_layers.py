"""The layers that a setting keeps in float."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["FloatLayer"]


@dataclass(frozen=True, slots=True)
class FloatLayer:
    """One entry of `--float-layers`: layers, and how their weights are stored.

    >>> FloatLayer.read("dense*:float16")
    FloatLayer(pattern='dense*', dtype='float16')
    """

    pattern: str
    """Name or glob of layers, or of tensors, ops or weights of the float32 artifact."""
    dtype: Literal["float16", "float32"] = "float32"
    """Data type of the weights. The ops compute in float32 in any case."""

    @property
    def half(self) -> bool:
        """Whether the weights become half floats."""
        return self.dtype == "float16"

    @classmethod
    def read(cls, text: str) -> "FloatLayer":
        """Read `NAME`, `NAME:float32` or `NAME:float16`; names may contain colons.

        Raises:
            ValueError: If there is no name.
        """
        name, _, dtype = text.strip().rpartition(":")
        if not text.strip() or (dtype in {"float16", "float32"} and not name):
            raise ValueError(f"'{text}' names no layer")
        if dtype == "float16":
            return cls(name, "float16")
        return cls(name if dtype == "float32" else text.strip())
