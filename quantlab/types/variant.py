"""The settings, and the variants that are made of them or given."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NARROW_DTYPES", "Port", "Setting", "Variant", "float32_of"]

NARROW_DTYPES = frozenset({"float16", "int8", "uint8", "uint16", "int16", "int4"})
"""What weights are stored in where less than float32 is kept of them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to quantize."""

    name: str
    """`<format>-<scheme>`, as `tfjs-uint8`."""
    format: str
    """The key of the converter: `tfjs`, `tfjs-layers`, `tflite`, `onnx`."""
    scheme: str
    """As the format's official converter calls it."""
    description: str
    """One sentence for `quantlab settings`."""
    default: bool = True
    """Whether it is run when no settings are asked for."""
    calibrated: bool = False
    """Whether its converter needs samples (static quantization)."""

    @property
    def float32(self) -> str:
        """The name of the same format's float32 baseline."""
        return float32_of(self.format)

    @property
    def quantized(self) -> bool:
        """Whether anything is stored or computed in less than float32."""
        return self.name != self.float32


@dataclass(frozen=True, slots=True)
class Port:
    """How a variant names an input or output that the model calls `name`."""

    name: str
    """The model's name for it."""
    tensor: str
    """The artifact's: a graph node's tensor for tfjs (`image:0`), the tensor's name for TFLite."""
    position: int
    """Its place among the artifact's inputs or outputs, from 0."""
    shape: tuple[int | None, ...]
    dtype: str
    """What the artifact takes or gives, which for a TFLite file may be `int8` codes."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What a converter made from a setting, or a file that the user already had."""

    name: str
    """The setting's name, or the one given with `--variant NAME=FILE`."""
    format: str
    path: Path
    """A folder that holds just what is served (tfjs), or the file (TFLite)."""
    sha256: str
    """Of every file that is served and its relative name."""
    size_bytes: int
    """Of every file that must be served."""
    gzip_bytes: int
    """Each of those files compressed by itself, level 9, no timestamp; summed."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: Mapping[str, int]
    """Bytes of stored weights by their stored dtype, as `{"float32": 6808, "int8": 22144}`."""
    brotli_bytes: int | None = None
    """Each of the served files compressed by itself, summed; quality 11, or 9 where they are more than 16 MB together.

    None in records of an older quantlab."""
    minimum_runtime: str | None = None
    """The least TFLite version that runs the file, as its converter wrote it; None for tfjs, or where it did not."""
    convert_seconds: float | None = None
    """Time in the converter; None for a file that was already there."""
    given: bool = False
    """Whether the user brought it with `--variant`."""
    notes: tuple[str, ...] = ()
    """What the reader of the row must know, as `named float32, holds int8 weights`."""

    @property
    def float32(self) -> str:
        """The name of its format's float32 baseline."""
        return float32_of(self.format)

    @property
    def is_float32(self) -> bool:
        """Whether it is that baseline; a file that the user brought never is, whatever its name."""
        return not self.given and self.name == self.float32


def float32_of(format_name: str) -> str:
    """The name of a format's float32 baseline, by the grammar of settings.

    >>> float32_of("tfjs-layers")
    'tfjs-layers-float32'
    """
    return f"{format_name}-float32"
