"""An artifact that is given as the model is also a row of its own, if the reference is not this very file."""

from dataclasses import replace
from pathlib import Path

from quantlab.errors import UsageError
from quantlab.formats import format_of
from quantlab.models import ModelFile
from quantlab.registries import REAL, Registries
from quantlab.study.options import AnalyzeOptions
from quantlab.types import float32_of

__all__ = ["AS_GIVEN", "beside_reference", "with_artifact"]

AS_GIVEN = "as-given"
"""Name of the row of an artifact that stores weights in less than float32: its reference has their values in float32.

The files of an artifact with float32 weights are the row of its format's float32 setting."""


def beside_reference(model: Path, options: AnalyzeOptions, registries: Registries = REAL) -> AnalyzeOptions:
    """The options of a study in which an artifact is compared with another file; unchanged if none was named.

    Raises:
        UsageError: If the model is no artifact, or its row's name is taken.
    """
    if options.reference is None:
        return options
    if not model.exists():
        raise UsageError(f"there is no artifact at '{model}'; give the file or folder to compare with --reference")
    if format_of(model, registries.formats) is None:
        raise UsageError(
            f"'{model}' is not an artifact, so it is the reference of its variants itself; give '{options.reference}' "
            f"with --variant NAME={options.reference}, and leave --reference out"
        )
    return replace(options, variants=_with(AS_GIVEN, model, options))


def _with(name: str, path: Path, options: AnalyzeOptions) -> dict[str, Path]:
    if name in options.variants:
        raise UsageError(f"--variant {name}=… has the name of the row of '{path}'; give it another name")
    return {name: path, **options.variants}


def with_artifact(options: AnalyzeOptions, file: ModelFile, registries: Registries = REAL) -> AnalyzeOptions:
    """The options of a study with the artifact as a variant; unchanged for models, and for float32 artifacts.

    An artifact of `--reference` is only compared with, and no row.
    Of a quantized artifact, only the float32 setting of its format is made without being asked for.

    Raises:
        UsageError: If the user gave another variant this name.
    """
    format_ = registries.format_of_model(file.kind)
    if format_ is None or not file.narrow:
        return options
    settings = options.settings
    if file.quantized and settings is None:
        settings = (float32_of(format_.name),)
    variants = options.variants if options.reference else _with(AS_GIVEN, file.path, options)
    return replace(options, variants=variants, settings=settings)
