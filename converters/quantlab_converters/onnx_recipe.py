"""The program that makes an ONNX file with tf2onnx and onnxruntime, without quantlab; it finds layers kept in float."""

from collections.abc import Callable, Mapping
from pathlib import Path

from quantlab.types import KEEPS_FLOAT
from quantlab_converters.contract import RecipeRequest
from quantlab_converters.float_layers import plain_scheme
from quantlab_converters.new_folder import NEW_FOLDER_IMPORT, new_folder_line

__all__ = ["OPSET", "recipe", "tf2onnx_words"]

OPSET = 18
"""ONNX opset of converted models; onnxruntime and onnxruntime-web support it since 1.14."""


def tf2onnx_words(saved_model: Path, signature: str) -> list[str]:
    """The arguments of tf2onnx's program; the file that it writes comes last, and is not among them."""
    return ["--saved-model", str(saved_model), "--signature_def", signature, "--opset", str(OPSET), "--output"]


_COPY = (
    "model = onnx.load({source!r})",
    "weights = {{tensor.name for tensor in model.graph.initializer}}",
    "for told in (model.graph.input, model.graph.value_info):",
    "    kept = [value for value in told if value.name not in weights]",
    "    del told[:]",
    "    told.extend(kept)",
    "model.ir_version = max(model.ir_version, 4)",
    "onnx.save(model, f'{{folder}}/source.onnx')",
)
"""The steps of `_copy_whole`, as program lines."""


def recipe(request: RecipeRequest) -> str:
    """A Python program with the steps of `_make_base` and of the scheme."""
    imports = ["from onnxruntime.quantization.shape_inference import quant_pre_process", NEW_FOLDER_IMPORT]
    if request.format is None:
        words = ["-m", "tf2onnx.convert", *tf2onnx_words(request.source, request.signature)]
        imports += ["import subprocess", "import sys"]
        made = [f"subprocess.run([sys.executable, *{words!r}, f'{{folder}}/source.onnx'], check=True)"]
    else:
        imports += ["import onnx"]
        made = [template.format(source=str(request.source)) for template in _COPY]
    base = "model.onnx" if request.scheme == "float32" else "float32.onnx"
    more, lines = _LINES[plain_scheme(request.scheme)](request)
    if request.scheme.endswith(KEEPS_FLOAT):
        more, lines = [*more, *_KEPT_IMPORTS], [_kept_line(request), *lines, _HELD]
    prepared = f"quant_pre_process(f'{{folder}}/source.onnx', f'{{folder}}/{base}', skip_symbolic_shape=True)"
    steps = (new_folder_line(request.setting), *made, prepared, *lines, "print(f'{folder}/model.onnx')")
    return "".join(f"{line}\n" for line in (*sorted({*imports, *more}), "", *steps))


_KEPT_IMPORTS = ("from pathlib import Path", "from quantlab_converters.onnx_float import hold_in_float, kept_nodes")
_HELD = "hold_in_float(Path(folder, 'model.onnx'), kept)"


def _kept_line(request: RecipeRequest) -> str:
    return f"kept = kept_nodes(Path(folder, 'float32.onnx'), {list(request.float_layers)!r})"


def _left_out(request: RecipeRequest) -> str:
    """The last argument of onnxruntime's functions if layers stay in float."""
    if not request.scheme.endswith(KEEPS_FLOAT):
        return ""
    half = plain_scheme(request.scheme) == "float16"
    return ", node_block_list=list(kept.float32)" if half else ", nodes_to_exclude=kept.all"


def _lines_of_int8(request: RecipeRequest) -> tuple[list[str], list[str]]:
    files = ", ".join(f"{name!r}: np.load({str(path)!r})" for name, path in request.calibration.items())
    imports = ["import numpy as np", "from onnxruntime.quantization import CalibrationDataReader, quantize_static"]
    return imports, [
        f"samples = {{{files}}}",
        "count = len(next(iter(samples.values())))",
        "one_by_one = ({name: array[i : i + 1] for name, array in samples.items()} for i in range(count))",
        "class Reader(CalibrationDataReader):",
        "    def get_next(self):",
        "        return next(one_by_one, None)",
        "float32, model = f'{folder}/float32.onnx', f'{folder}/model.onnx'",
        f"quantize_static(float32, model, Reader(), per_channel=True{_left_out(request)})",
    ]


def _lines_of_float16(request: RecipeRequest) -> tuple[list[str], list[str]]:
    imports = [
        "import onnx",
        "from onnxruntime.transformers.float16 import convert_float_to_float16",
        "from onnxruntime.transformers.onnx_model import OnnxModel",
    ]
    return imports, [
        "float32 = onnx.load(f'{folder}/float32.onnx')",
        f"model = convert_float_to_float16(float32, keep_io_types=True{_left_out(request)})",
        "OnnxModel.graph_topological_sort(model.graph)",
        "onnx.save(model, f'{folder}/model.onnx')",
    ]


_LINES: Mapping[str, Callable[[RecipeRequest], tuple[list[str], list[str]]]] = {
    "float32": lambda _: ([], []),
    "float16": _lines_of_float16,
    "dynamic": lambda request: (
        ["from onnxruntime.quantization import quantize_dynamic"],
        [f"quantize_dynamic(f'{{folder}}/float32.onnx', f'{{folder}}/model.onnx'{_left_out(request)})"],
    ),
    "int8": _lines_of_int8,
}
"""Scheme → its imports, and the program lines that process `float32.onnx` in the new folder."""
