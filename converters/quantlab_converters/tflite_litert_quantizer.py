"""TFLite files that litert-quantizer makes from the float32 file: schemes beside those of TensorFlow's own converter.

TensorFlow declares the quantization of its converter deprecated in favour of litert-quantizer, whose recipes have the
names of these schemes: `wi4` stores weights in 4 bits, `ai16` computes activations in 16. What a recipe does not
support stays float32 without a message; the row names it (`quantlab.study.left_in_float`).

litert-quantizer is an optional dependency: it is imported where it is called, and its absence is a ConversionError.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from quantlab.errors import ConversionError

__all__ = [
    "PACKAGE",
    "SCHEMES",
    "SIGNATURE",
    "build_recipe",
    "entries_that_keep",
    "program_of",
    "quantize",
    "refuse_absent",
    "words_of_the_recipe",
]

PACKAGE = "litert-quantizer"
"""The distribution that makes these schemes."""

SIGNATURE = "serving_default"
"""The signature that TensorFlow's converter writes."""

_REQUIREMENT = f"{PACKAGE}==0.11.*"  # as the extra in pyproject.toml


@dataclass(frozen=True, slots=True)
class _Scheme:
    """One of litert-quantizer's recipes."""

    recipe: str
    """Its function in `litert_quantizer.recipe`."""
    algorithm: str | None = None
    """Value of `litert_quantizer.recipe.AlgorithmName` that chooses the scales; None for the recipe's own, which takes
    them from the largest weight of each channel."""
    calibrated: bool = False
    """Whether activations get fixed ranges; then inputs and outputs are kept in float32, which the recipe does not."""

    @property
    def call(self) -> str:
        """The call of the function, in Python."""
        return f"recipe.{self.recipe}({'' if self.algorithm is None else f'algorithm_key={self.algorithm!r}'})"


SCHEMES: Mapping[str, _Scheme] = {
    "dynamic-wi8": _Scheme("dynamic_wi8_afp32"),
    "weight-only-wi8": _Scheme("weight_only_wi8_afp32"),
    "dynamic-wi4": _Scheme("dynamic_wi4_afp32"),
    "weight-only-wi4": _Scheme("weight_only_wi4_afp32", algorithm="MSE"),
    "static-wi8-ai8": _Scheme("static_wi8_ai8", calibrated=True),
    "static-wi8-ai16": _Scheme("static_wi8_ai16", calibrated=True),
}
"""The schemes of the TFLite format that litert-quantizer makes."""


def refuse_absent() -> None:
    """Import litert-quantizer.

    Raises:
        ConversionError: If it is not installed.
    """
    try:
        import litert_quantizer  # noqa: F401  # only whether it is there
    except ImportError as error:
        raise ConversionError(
            f"{PACKAGE}, which makes this setting, is not installed; install it with pip install '{_REQUIREMENT}', or "
            f"leave this setting out"
        ) from error


def build_recipe(scheme: str, kept: Mapping[str, str] = MappingProxyType({})) -> list[dict[str, Any]]:
    """Return the recipe of a scheme, as litert-quantizer's `load_quantization_recipe` takes it.

    Args:
        scheme: A key of `SCHEMES`.
        kept: Outputs of ops that stay in float → `float32` or `float16`, as which their weights are stored.
    """
    from litert_quantizer import recipe

    made = SCHEMES[scheme]
    options = {} if made.algorithm is None else {"algorithm_key": made.algorithm}
    ends = _FLOAT_ENDS if made.calibrated else ()
    return [*getattr(recipe, made.recipe)(**options), *ends, *entries_that_keep(kept)]


_FLOAT_ENDS = tuple({"regex": ".*", "operation": end, "algorithm_key": "no_quantize"} for end in ("INPUT", "OUTPUT"))


def entries_that_keep(kept: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return entries for the end of a recipe, of which the last one that matches an op counts; see `build_recipe`."""
    return [_entry(name, dtype) for name, dtype in kept.items()]


def _entry(output: str, dtype: str) -> dict[str, Any]:
    # The scope of an op is the names of its outputs, each followed by a semicolon.
    scope = {"regex": f"^{re.escape(output)};?$", "operation": "*"}
    if dtype == "float32":
        return {**scope, "algorithm_key": "no_quantize"}
    weights = {"num_bits": 16, "symmetric": True, "granularity": "CHANNELWISE", "dtype": "FLOAT"}
    stored = {"weight_tensor_config": weights, "compute_precision": "FLOAT", "explicit_dequantize": True}
    return {**scope, "algorithm_key": "float_casting", "op_config": stored}


def words_of_the_recipe(outputs: Iterable[str]) -> str:
    """The entries that keep ops in float32, to be added at the end of a recipe.

    Args:
        outputs: The tensors that the ops write.
    """
    return repr(entries_that_keep(dict.fromkeys(outputs, "float32")))


def quantize(
    float32: Path,
    scheme: str,
    calibration: Mapping[str, Path],
    kept: Mapping[str, str] = MappingProxyType({}),
    *,
    signature: str = SIGNATURE,
) -> bytes:
    """Return the quantized TFLite file.

    Args:
        float32: The float32 TFLite file.
        scheme: A key of `SCHEMES`.
        calibration: Input → `.npy` of samples; only used by calibrated schemes.
        kept: As in `build_recipe`.
        signature: The file's signature, whose inputs the samples are.

    Raises:
        ConversionError: If the scheme needs calibration samples and there are none.
    """
    from litert_quantizer.calibrator import CalibrationMode
    from litert_quantizer.quantizer import Quantizer

    quantizer = Quantizer(str(float32))
    quantizer.load_quantization_recipe(build_recipe(scheme, kept))
    ranges = None
    if SCHEMES[scheme].calibrated:
        # The mode that its makers recommend. The default one fails on some models with "Tensor data is null".
        mode = CalibrationMode.CALIBRATION_PROFILER_BASED
        # One thread, so that sums do not depend on the number of cores.
        ranges = quantizer.calibrate({signature: _samples(calibration)}, num_threads=1, mode=mode)
    return bytes(quantizer.quantize(ranges, enable_progress_report=False).quantized_model)


def _samples(calibration: Mapping[str, Path]) -> list[dict[str, Any]]:
    if not calibration:
        raise ConversionError(
            "static quantization needs calibration samples, and none were given; give some with --calibration"
        )
    arrays = {name: np.load(path, mmap_mode="r") for name, path in calibration.items()}
    count = len(next(iter(arrays.values())))
    return [{name: np.array(array[index : index + 1]) for name, array in arrays.items()} for index in range(count)]


def program_of(
    scheme: str,
    calibration: Mapping[str, Path],
    float_layers: Sequence[str] = (),
    *,
    signature: str = SIGNATURE,
) -> str:
    """Lines of a Python program that quantize the file `float32.tflite` in `folder` and write `model.tflite` there.

    They need NumPy as `np`, and call litert-quantizer alone; if layers stay in float, quantlab finds their ops.

    Args:
        scheme: A key of `SCHEMES`.
        calibration: As in `quantize`.
        float_layers: Entries of `--float-layers`.
        signature: As in `quantize`.
    """
    made = SCHEMES[scheme]
    entries = [f"*{made.call}", *(repr(entry) for entry in (_FLOAT_ENDS if made.calibrated else ()))]
    if float_layers:
        found = f'kept_taps(Path(folder, "float32.tflite"), {list(float_layers)!r})'
        entries.append(f"*entries_that_keep({found})")
    files = ", ".join(f"{name!r}: np.load({str(path)!r})" for name, path in calibration.items())
    return _PROGRAM.format(
        imports=_IMPORTS_OF_KEPT if float_layers else "",
        recipe="".join(f"    {entry},\n" for entry in entries),
        calibrate=_CALIBRATE.format(files=files, signature=signature) if made.calibrated else "",
        ranges="ranges, " if made.calibrated else "",
    )


_IMPORTS_OF_KEPT = """\
from pathlib import Path
from quantlab_converters.tflite_float import kept_taps
from quantlab_converters.tflite_litert_quantizer import entries_that_keep
"""

_CALIBRATE = """\
from litert_quantizer.calibrator import CalibrationMode

samples = {{{files}}}
count = len(next(iter(samples.values())))
rows = [{{name: array[i : i + 1] for name, array in samples.items()}} for i in range(count)]
mode = CalibrationMode.CALIBRATION_PROFILER_BASED
ranges = quantizer.calibrate({{{signature!r}: rows}}, num_threads=1, mode=mode)
"""

_PROGRAM = """\
{imports}from litert_quantizer import recipe
from litert_quantizer.quantizer import Quantizer

quantizer = Quantizer(f"{{folder}}/float32.tflite")
quantizer.load_quantization_recipe([
{recipe}])
{calibrate}quantizer.quantize({ranges}enable_progress_report=False).export_model(f"{{folder}}/model.tflite")
print(f"{{folder}}/model.tflite")
"""
