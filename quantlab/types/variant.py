"""The quantization settings, and the variants made from them or given by the user."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from quantlab.types.layers import Codes

__all__ = ["CODES", "KEEPS_FLOAT", "NARROW_DTYPES", "TUNED", "Port", "Setting", "Variant", "float32_of"]

NARROW_DTYPES = frozenset({"float16", "int8", "uint8", "uint16", "int16", "int4"})
"""Data types of stored weights that hold less than float32."""

CODES = NARROW_DTYPES - {"float16"}
"""Those of them that stand for values by a scale."""


KEEPS_FLOAT = "+float"
"""The end of the names of settings and schemes that keep the layers of `--float-layers` in float."""

TUNED = "tuned"
"""The scheme of settings that `quantlab tune` decides: one for each format."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to quantize a model in one format."""

    name: str
    """`<format>-<scheme>`, for example `tfjs-uint8`."""
    format: str
    """Name of the format: `tfjs`, `tfjs-layers`, `tflite`, `onnx`."""
    scheme: str
    """The scheme, in the terms of the format's official converter."""
    description: str
    """One sentence, shown by `quantlab settings`."""
    default: bool = True
    """Whether it runs if the user selects no settings."""
    by_name: bool = False
    """Whether only its own name selects it, and no glob: it is made for runtimes that are not used by default."""
    calibrated: bool = False
    """Whether the conversion needs calibration samples (static quantization)."""
    half: bool = False
    """Whether it stores or computes half floats, so that hardware may compute in them."""
    official: bool = True
    """Whether the official converter of the format can make it; otherwise quantlab does."""
    weight_bits: int = 8
    """Bits of a stored weight. If fewer bits lose too much, the settings with more bits are the next to try."""

    @property
    def keeps_float(self) -> bool:
        """Whether the layers of `--float-layers` stay in float."""
        return self.scheme.endswith(KEEPS_FLOAT)

    @property
    def tuned(self) -> bool:
        """Whether `quantlab tune` decides what it stores."""
        return self.scheme == TUNED

    def keeping_float(self) -> "Setting":
        """The setting that quantizes in the same way, but keeps the layers of `--float-layers` in float."""
        return replace(
            self,
            name=f"{self.name}{KEEPS_FLOAT}",
            scheme=f"{self.scheme}{KEEPS_FLOAT}",
            description=f"as {self.name}, but the layers of --float-layers stay in float",
            default=False,
        )

    @property
    def float32(self) -> str:
        """Name of the float32 baseline of the same format."""
        return float32_of(self.format)

    @property
    def quantized(self) -> bool:
        """Whether weights or computations use less than float32."""
        return self.name != self.float32


@dataclass(frozen=True, slots=True)
class Port:
    """The tensor of a variant that belongs to an input or output of the model."""

    name: str
    """Name in the model."""
    tensor: str
    """Name in the artifact: for tfjs the tensor of a graph node (`image:0`), for TFLite the tensor's name."""
    position: int
    """Position among the artifact's inputs or outputs, from 0."""
    shape: tuple[int | None, ...]
    dtype: str
    """Data type in the artifact; for a TFLite file it may be `int8` codes."""
    codes: Codes | None = None
    """How its codes are computed from the model's values, if it holds codes."""


@dataclass(frozen=True, slots=True)
class Variant:
    """An artifact that a converter made from a setting, or a file that the user gave."""

    name: str
    """Name of the setting, or the name given with `--variant NAME=FILE`."""
    format: str
    path: Path
    """The artifact: a folder that holds only the served files (tfjs), or the file (TFLite, ONNX)."""
    sha256: str
    """SHA-256 of all served files and their relative names."""
    size_bytes: int
    """Total size of all served files, uncompressed."""
    gzip_bytes: int
    """Total gzip size of the served files, each compressed separately at level 9 without a timestamp."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: Mapping[str, int]
    """Stored data type → bytes of weights, for example `{"float32": 6808, "int8": 22144}`."""
    brotli_bytes: int | None = None
    """Total brotli size of the served files, each compressed separately; quality 11, or 9 above 16 MB in total.

    None until a large artifact is compressed, and in records of an older quantlab."""
    minimum_runtime: str | None = None
    """Oldest TFLite version that runs the file, as recorded by its converter; None for tfjs or if not recorded."""
    convert_seconds: float | None = None
    """Seconds spent in the converter; None for a file that the user gave."""
    given: bool = False
    """Whether the user gave the file with `--variant`."""
    candidates: int | None = None
    """Number of candidates among which `quantlab tune` chose it, on other samples; None if it did not."""
    single_decisions: int = 0
    """Number of artifacts that were measured besides, on the same samples, to choose single decisions about it."""
    float_layers: tuple[str, ...] = ()
    """What `--float-layers` named, if its setting keeps these layers in float; see `FloatLayer`."""
    notes: tuple[str, ...] = ()
    """Remarks about this variant, for example `named float32, holds int8 weights`."""

    @property
    def float32(self) -> str:
        """Name of the float32 baseline of its format."""
        return float32_of(self.format)

    @property
    def fixed_batch(self) -> int | None:
        """The batch size that its inputs are fixed at, the largest of several; None if it is open or not recorded."""
        return max((port.shape[0] for port in self.inputs if port.shape and port.shape[0] is not None), default=None)

    @property
    def is_float32(self) -> bool:
        """Whether it is that baseline; False for a file that the user gave, whatever its name."""
        return not self.given and self.name == self.float32


def float32_of(format_name: str) -> str:
    """The name of a format's float32 baseline, `<format>-float32`.

    >>> float32_of("tfjs-layers")
    'tfjs-layers-float32'
    """
    return f"{format_name}-float32"
