"""ONNX files: tf2onnx converts the SavedModel, and onnxruntime quantizes the result.

An ONNX model is used directly. onnxruntime recommends inferred shapes and folded batch norms before quantization (its
`quantization.preprocess`). float32 goes through the same step, so that all four settings have the same weights and
differ only in quantization. Symbolic shape inference, which is meant for transformers, is skipped.

tf2onnx does not write reproducible bytes: numbers in names, the order of weights, and the names of equal constants
vary. Tensors are therefore identified by names without these numbers (`quantlab.formats.onnx.names`).
"""

import contextlib
import io
import logging
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import ConversionError
from quantlab.formats.onnx.file import TWO_GIGABYTES, dtype_name, external_files, read_onnx, save_onnx
from quantlab.names import counted
from quantlab_converters.contract import ConversionRequest, Converter, FromArtifact
from quantlab_converters.float_layers import plain_scheme
from quantlab_converters.onnx_apart import write_apart
from quantlab_converters.onnx_float import KeptNodes, hold_in_float, kept_nodes, list_nodes, words_of_onnxruntime
from quantlab_converters.onnx_recipe import recipe, tf2onnx_words

__all__ = ["CONVERTER"]

_OPSET_OF_AXES = 13
"""First opset in which QuantizeLinear and DequantizeLinear accept one scale per channel."""


def convert(request: ConversionRequest) -> Iterator[str]:
    """See `Converter.convert`."""
    base = request.work / "base"
    for scheme, folder in request.schemes.items():
        yield scheme
        if not base.exists():
            _make_base(request, base)
        folder.mkdir(parents=True, exist_ok=True)
        kept = kept_nodes(base / "model.onnx", request.float_layers.get(scheme, ()))
        _SCHEMES[plain_scheme(scheme)](base / "model.onnx", folder / "model.onnx", request.calibration, kept)
        hold_in_float(folder / "model.onnx", kept)
        _check(folder / "model.onnx")


def _make_base(request: ConversionRequest, folder: Path) -> None:
    """Write the common base of all settings as `model.onnx`; the folder appears only when it is complete."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    partial = folder.with_name("partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    source = request.work / "source.onnx"
    if request.format is None:
        _run_tf2onnx(request.source, request.signature, source)
        large = False
    else:
        large = _copy_whole(request.source, source)
    quant_pre_process(source, partial / "model.onnx", skip_symbolic_shape=True, save_as_external_data=large)
    partial.rename(folder)


def _copy_whole(model_file: Path, target: Path) -> bool:
    """Write a self-contained copy; weights above 2 GB go to a file beside it. Return whether that was necessary.

    onnxruntime's optimizer would look for external data beside its own copy. Two things are removed from the copy.
    Files before IR version 4 list weights among the inputs, and quantization would treat them as inputs. PyTorch also
    lists the shapes of weights, which become wrong when onnxruntime transposes them.
    """
    import onnx

    large = sum(file.stat().st_size for file in external_files(model_file)) > TWO_GIGABYTES
    model = read_onnx(model_file, error=ConversionError)
    weights = {tensor.name for tensor in model.graph.initializer}
    for told in (model.graph.input, model.graph.value_info):
        kept = [value for value in told if value.name not in weights]
        del told[:]
        told.extend(kept)
    model.ir_version = max(model.ir_version, 4)
    onnx.save(model, target, save_as_external_data=large)
    try:
        onnx.checker.check_model(str(target))
    except onnx.checker.ValidationError as error:
        raise ConversionError(
            f"'{model_file.name}' is not valid ONNX ({_one_line(error)}), and quantization needs that; export it again"
        ) from error
    return large


def _run_tf2onnx(saved_model: Path, signature: str, target: Path) -> None:
    """Run tf2onnx's program in this process, which has already imported TensorFlow."""
    from tf2onnx import convert

    said = io.StringIO()
    root, arguments = logging.getLogger(), sys.argv
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()  # so that the program installs its own handlers, which write to `said`
    sys.argv = ["tf2onnx.convert", *tf2onnx_words(saved_model, signature), str(target)]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            convert.main()
    except (Exception, SystemExit) as error:
        raise ConversionError(_explained(f"{said.getvalue()}\n{type(error).__name__}: {error}")) from error
    finally:
        sys.argv = arguments
        root.handlers[:] = handlers
        root.setLevel(level)
        print(said.getvalue(), file=sys.stderr)
    if not target.is_file() or _LACKING.search(said.getvalue()):  # unsupported ops are only logged
        raise ConversionError(_explained(said.getvalue()))


_LACKING = re.compile(r"[Tt]ensor[Ff]low op \[([^\]]+)\] is not supported")


_OF_TEXT = re.compile("String|Regex|Unicode|Ragged")
"""Part of the names of ops that process text."""


def _explained(log: str) -> str:
    """Summarize tf2onnx's log in one sentence."""
    lacking = sorted(set(_LACKING.findall(log)))
    if lacking:
        parts = [line.rpartition(": ") for line in lacking]
        named = ", ".join(f"{op} (node '{node}')" for node, _, op in parts)
        text = any(_OF_TEXT.search(op) for _, _, op in parts)
        remedy = "export the part of the model after the text processing" if text else "replace what uses it"
        return f"tf2onnx does not support the op {named}; {remedy}, or leave the onnx settings out"
    if "Only lookup tables of type" in log:
        return (
            "tf2onnx converts only lookup tables between strings and int64, and the model has another one, as of an "
            "IntegerLookup or TextVectorization layer; export the part of the model after it, or leave the onnx "
            "settings out"
        )
    lines = [line for line in log.splitlines() if line.strip()]
    return f"tf2onnx could not convert the model: {lines[-1].strip() if lines else 'it logged no reason'}"


def _check(file: Path) -> None:
    import onnx

    try:
        onnx.checker.check_model(str(file), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the result is not valid ONNX ({_one_line(error)}); leave this setting out") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _float32(base: Path, target: Path, calibration: Mapping[str, Path], kept: KeptNodes) -> None:
    del calibration, kept
    shutil.copytree(base.parent, target.parent, dirs_exist_ok=True)


def _float16(base: Path, target: Path, calibration: Mapping[str, Path], kept: KeptNodes) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    del calibration
    _refuse_other_weights(onnx.load(base).graph)
    model = convert_float_to_float16(onnx.load(base), keep_io_types=True, node_block_list=list(kept.float32))
    OnnxModel.graph_topological_sort(model.graph)  # the converter appends the casts of the inputs at the end
    save_onnx(model, target)


_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})


def _refuse_other_weights(graph: Any) -> None:
    """Refuse models that onnxruntime's tools would fail on, or leave unchanged."""
    for node in graph.node:
        if node.op_type in _QUANTIZED:
            raise ConversionError(
                f"the model is already quantized ({node.op_type} in the node '{node.name}'); give the float model it "
                f"was made from, and this file with --variant NAME=FILE"
            )
    floats = sorted({dtype_name(tensor.data_type) for tensor in graph.initializer} & _FLOATS)
    if floats and "float32" not in floats:
        raise ConversionError(
            f"the model's weights are {' and '.join(floats)}, and only float32 weights can be converted; export it in "
            f"float32, or leave this setting out"
        )


_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})


def _refuse_without_range(graph: Any) -> None:
    from onnx import numpy_helper

    for tensor in graph.initializer:
        if dtype_name(tensor.data_type) == "float32":
            values = numpy_helper.to_array(tensor)
            wrong = values.size - int(np.isfinite(values).sum())
            if wrong:
                spoiled = counted(wrong, "value that is", "values that are")
                raise ConversionError(
                    f"the weight '{tensor.name}' holds {spoiled} NaN or infinite, and int8 needs a finite range; train "
                    f"again or repair the model"
                )


def _dynamic(base: Path, target: Path, calibration: Mapping[str, Path], kept: KeptNodes) -> None:
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    del calibration
    graph = onnx.load(base).graph
    _refuse_other_weights(graph)
    _refuse_without_range(graph)
    quantize_dynamic(base, target, nodes_to_exclude=kept.all)


def _int8(base: Path, target: Path, calibration: Mapping[str, Path], kept: KeptNodes) -> None:
    import onnx
    from onnxruntime.quantization import quantize_static

    model = onnx.load(base)
    _refuse_other_weights(model.graph)
    _refuse_without_range(model.graph)
    opset = next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"})
    if opset < _OPSET_OF_AXES:
        raise ConversionError(
            f"the model has opset {opset}, and one scale per channel needs {_OPSET_OF_AXES} or newer; export it with "
            f"that, or raise it with onnx.version_converter.convert_version(model, {_OPSET_OF_AXES})"
        )
    if not calibration:
        raise ConversionError(
            "static quantization needs calibration samples, and none were given; give some with --calibration"
        )
    quantize_static(base, target, _Samples(calibration), per_channel=True, nodes_to_exclude=kept.all)


class _Samples:
    """Reader that gives onnxruntime's calibration one sample at a time; implements `CalibrationDataReader`."""

    def __init__(self, calibration: Mapping[str, Path]) -> None:
        self._arrays = {name: np.load(path, mmap_mode="r") for name, path in calibration.items()}
        self._count = len(next(iter(self._arrays.values())))
        self._next = 0

    def get_next(self) -> dict[str, Any] | None:
        if self._next >= self._count:
            return None
        self._next += 1
        return {name: np.array(array[self._next - 1 : self._next]) for name, array in self._arrays.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (sample := self.get_next()) is not None:
            yield sample


_SCHEMES: Mapping[str, Callable[[Path, Path, Mapping[str, Path], KeptNodes], None]] = {
    "float32": _float32,
    "float16": _float16,
    "dynamic": _dynamic,
    "int8": _int8,
}


CONVERTER = Converter(
    convert="quantlab_converters.onnx:convert",
    packages=("tensorflow", "tf2onnx", "onnx", "onnxruntime"),
    alone=True,
    recipe=recipe,
    parts=list_nodes,
    words=words_of_onnxruntime,
    apart=write_apart,
    takes=("Keras 3", "Keras 2", "SavedModel", "ONNX"),
    from_artifact={"layers-model": FromArtifact((), asked=tuple(_SCHEMES))},
)
