"""What a check can read of a model or an artifact; made by the readers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from quantlab.types import Port

__all__ = [
    "KERAS_ROLES",
    "OCTAVES",
    "Kind",
    "Layer",
    "Op",
    "Role",
    "Subject",
    "TensorFacts",
    "WeightFacts",
    "is_foreign",
]

Kind = Literal["Keras 3", "Keras 2", "SavedModel", "graph-model", "layers-model", "TFLite", "ONNX"]

Role = Literal["kernel", "depthwise", "bias", "gamma", "beta", "mean", "variance", "constant"]
"""What a weight does: `kernel` is that of a convolution or product, `constant` everything else."""

OCTAVES = 9
"""Octaves in which the magnitudes of a channel are counted: with 8 bits, what is below is far below one step."""

KERAS_ROLES: Mapping[str, Role] = {
    "kernel": "kernel",
    "pointwise_kernel": "kernel",
    "recurrent_kernel": "kernel",
    "depthwise_kernel": "depthwise",
    "bias": "bias",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "mean",
    "moving_variance": "variance",
}
"""Name that Keras gives to a weight of a layer → what it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFacts:
    """Summary of one stored weight: its values are read once and not kept."""

    name: str
    owner: str = ""
    """The layer or op that reads it; empty if unknown."""
    role: Role = "constant"
    shape: tuple[int, ...]
    dtype: str
    """Stored data type."""
    nan: int = 0
    infinite: int = 0
    largest: float = 0.0
    """Largest finite |value|; 0 for weights without floats."""
    beyond_half: int = 0
    """Number of finite values that become infinite as float16."""
    at_half_limit: int = 0
    """Number of float16 values at ±65,504, where a converter may have cut them."""
    half_error: float = 0.0
    """Relative RMS error of rounding to float16, without the values beyond its range."""
    quantile: float = 0.0
    """99.9 % of the values that are not negligible have at most this magnitude; of fewer than 1,000, all but one."""
    low: tuple[float, ...] = ()
    """Smallest finite value of each output channel; one entry if the channel is unknown."""
    high: tuple[float, ...] = ()
    rms: tuple[float, ...] = ()
    """Root mean square of each output channel, of its finite values."""
    counts: tuple[int, ...] = ()
    """Of each output channel, numbers of values in `OCTAVES` octaves below its largest magnitude, the rest in the last;
    those of the first channel first. Empty for weights that have no channels."""
    energies: tuple[float, ...] = ()
    """Sums of their squares."""
    values: tuple[float, ...] = ()
    """All values, of weights with at most one axis and at most 4,096 values, all of them finite."""
    scales: tuple[float, ...] = ()
    """Scales of affine codes."""
    zero_points: tuple[int, ...] = ()
    factors: tuple[float, ...] = ()
    """What the batch norm behind a kernel multiplies each output channel by, where a reader of graphs tells; or empty.
    """
    saturated: int = 0
    """Number of 32-bit codes at the ends of their range."""
    beyond_int32: int = 0
    """Number of 64-bit integers that int32 does not have."""

    @property
    def elements(self) -> int:
        """Number of values."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def is_float(self) -> bool:
        """Whether the values are stored as floats and not as codes."""
        return self.dtype in {"float16", "bfloat16", "float32", "float64"}


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a Keras configuration, at any depth."""

    name: str
    kind: str
    """Class name, for example `Conv2D`."""
    config: Mapping[str, Any]
    sources: tuple[str, ...] = ()
    """Names of the layers whose outputs it reads, in the same model."""
    training: bool = False
    """Whether a call in the configuration has training=True."""
    module: str = ""
    """Module of its class, if the configuration names it."""
    inside: str = ""
    """Name of the nested model that it is part of; empty at the top."""

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


_OWN = frozenset({"keras", "tf_keras", "builtins", ""})


def is_foreign(layer: Layer) -> bool:
    """Whether the class of a layer is in a module of the user."""
    return layer.module.partition(".")[0] not in _OWN


@dataclass(frozen=True, slots=True)
class Op:
    """An op of a graph."""

    name: str
    kind: str
    """Name of the op in its format: `Conv2D`, `CONV_2D`, `Conv`."""
    inputs: tuple[str, ...]
    """Names of tensors; those of a graph of TensorFlow without `:0`."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Plain values, as far as a check needs them."""
    version: int = 1
    domain: str = ""
    """ONNX: the domain of the op; TFLite: `custom` for custom ops."""


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """A tensor between ops."""

    shape: tuple[int | None, ...]
    dtype: str
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    variable: bool = False
    """Whether its values stay from one call to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model or an artifact, as far as hazards need it."""

    path: str
    kind: Kind
    name: str
    """File or folder name, in which a data type may stand."""
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    layers: tuple[Layer, ...] = ()
    ops: tuple[Op, ...] = ()
    tensors: Mapping[str, TensorFacts] = field(default_factory=dict)
    weights: tuple[WeightFacts, ...] = ()
    held: Mapping[str, int] = field(default_factory=dict)
    """Stored data type → bytes of weights, as in `Contents.weights`."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """`version` and `tool` of what wrote the file, `minimum_runtime`, opsets as `opset <domain>`."""

    def made_by(self) -> Mapping[str, Op]:
        """Tensor → the op that makes it."""
        return {output: op for op in self.ops for output in op.outputs}

    def read_by(self) -> Mapping[str, list[Op]]:
        """Tensor → the ops that read it."""
        readers: dict[str, list[Op]] = {}
        for op in self.ops:
            for name in op.inputs:
                readers.setdefault(name, []).append(op)
        return readers

    def ops_of(self, *kinds: str) -> Iterator[Op]:
        """Ops of some kinds, in order."""
        return (op for op in self.ops if op.kind in kinds)

    def layers_of(self, *kinds: str) -> Iterator[Layer]:
        """Layers of some classes, in order."""
        return (layer for layer in self.layers if layer.kind in kinds)
