"""What every converter is: the contract of this family."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar, Literal

from quantlab.types import TunedWeights
from quantlab_converters.float_layers import Part, plain_scheme

__all__ = ["ConversionRequest", "Convert", "Converter", "FromArtifact", "RecipeRequest"]


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """One model on its way to several settings of one format."""

    source: Path
    """The SavedModel; of a model that is no TensorFlow one its own file."""
    signature: str
    """Of the SavedModel."""
    schemes: Mapping[str, Path]
    """Scheme → the empty folder its artifact is written into."""
    sample_shapes: Mapping[str, tuple[int, ...]]
    """Input → the shape of one sample, to close dimensions that the model leaves open; empty where no data is known."""
    calibration: Mapping[str, Path]
    """Input → `.npy` of samples for static quantization; empty where no scheme asks for it."""
    work: Path
    """A folder for what is needed on the way; removed afterwards."""
    model: Path | None = None
    """The file that the user gave, for a format that keeps Keras' layers; the SavedModel where there is none."""
    format: str | None = None
    """Of a source that is an artifact already, as `onnx`; None for a SavedModel."""
    float_layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Scheme that keeps layers in float → what it keeps; see `FloatLayer`.

    Such a scheme has a name like `int8+float`. Several schemes that keep different layers have something behind it.
    """
    tuned: TunedWeights | None = None
    """What the scheme `tuned` stores, if it is asked for."""


@dataclass(frozen=True, slots=True)
class Convert:
    """What the converting process is asked."""

    request: ClassVar[str] = "convert"
    function: str
    """`Converter.convert` of the format."""
    conversion: ConversionRequest


@dataclass(frozen=True, slots=True)
class RecipeRequest:
    """One setting of one model, to be made by hand."""

    setting: str
    """Its name; the folder that the recipe makes is named after it."""
    scheme: str
    source: Path
    """As the user may write it: relative to the folder that the recipe is followed in."""
    signature: str
    input_shapes: Mapping[str, tuple[int, ...]]
    """Input → the shape of one sample."""
    calibration: Mapping[str, Path]
    """Input → `.npy` of samples for static quantization; empty where the scheme needs none."""
    model: Path | None = None
    """The file that the user gave, written as `source`."""
    format: str | None = None
    """As above."""
    float_layers: tuple[str, ...] = ()
    """What the scheme keeps in float, if it does."""


@dataclass(frozen=True, slots=True)
class FromArtifact:
    """What a converter makes of an artifact, whose weights are float32."""

    schemes: tuple[str, ...]
    """Those that are made without being asked for first."""
    asked: tuple[str, ...] = ()
    """More schemes, which are made only if they are asked for."""


@dataclass(frozen=True, slots=True)
class Converter:
    """A member of the family, run in a child process with oneDNN off."""

    convert: str
    """`module:function`, from a `ConversionRequest` to an iterator; only the converting process imports it.

    It yields each scheme, in the request's order, before it works on it, so that a crash has a name. An exception ends
    the iteration and belongs to the scheme yielded last; the others are asked for again.
    """
    packages: tuple[str, ...]
    """Distributions whose versions decide what is written."""
    recipe: Callable[[RecipeRequest], str]
    """The command or code that makes the same artifact with the official tools alone; for loops also with quantlab.

    It writes into a new folder in the current one, so that it overwrites nothing, and prints where the artifact is.
    """
    parts: Callable[[Path], tuple[Part, ...]] | None = None
    """The ops of a float32 artifact, any of which a scheme may keep in float; None if the format tells none."""
    words: Callable[[Path, str, Sequence[str]], str | None] = lambda _, __, ___: None
    """What the official tool needs to keep ops in float.

    Arguments: the float32 artifact, the scheme, and the tensors that the ops write. None if the tool cannot.
    """
    apart: Callable[[Path, Path, Path, Literal["weights", "activations"]], None] | None = None
    """Writes a copy of a statically quantized artifact in which only weights or only activations are quantized.

    Arguments: the artifact, the float32 artifact, the file to write, and what stays quantized. None if it cannot.
    """
    tunable: str | None = None
    """`module:function`, from the float32 artifact to its `TunableWeights`; None if single weights cannot be chosen how
    to be stored."""
    alone: bool = False
    """Whether its process converts nothing before or after: the library it calls is made for a program of its own."""
    takes: tuple[str, ...] = ("Keras 3", "Keras 2", "SavedModel")
    """The kinds of model that it starts from, for every scheme."""
    from_artifact: Mapping[str, "FromArtifact"] = field(default_factory=dict)
    """Kind of an artifact → what it makes of one, where that is less than all of its schemes."""
    more_packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Scheme → distributions that decide what is written besides `packages`; `quantlab` if it writes the files itself.

    The others are optional: without one, `convert` raises a ConversionError that says how to install it."""

    def makes(self, scheme: str, kind: str) -> bool:
        """Whether a scheme is made from a kind of model."""
        own = self.from_artifact.get(kind)
        return kind in self.takes or (own is not None and plain_scheme(scheme) in {*own.schemes, *own.asked})

    def makes_unasked(self, scheme: str, kind: str) -> bool:
        """Whether it is made from a kind of model in a study that names no settings, if it is none of the defaults."""
        own = self.from_artifact.get(kind)
        return kind in self.takes or (own is not None and scheme in own.schemes and self.is_installed(scheme))

    def is_installed(self, scheme: str) -> bool:
        """Whether all optional packages that make a scheme are installed."""
        return self.versions(scheme).keys() >= {*self.packages, *self.more_packages.get(plain_scheme(scheme), ())}

    def versions(self, *schemes: str) -> dict[str, str]:
        """Versions of the packages that decide what is written in these schemes; optional ones only if installed."""
        versions = {name: version(name) for name in self.packages}
        for name in {name: None for scheme in schemes for name in self.more_packages.get(plain_scheme(scheme), ())}:
            with suppress(PackageNotFoundError):
                versions[name] = version(name)
        return versions
