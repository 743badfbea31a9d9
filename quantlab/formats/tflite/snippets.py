"""Code that calls a TFLite file: LiteRT in Python, LiteRT.js, and the interpreter of Android in Kotlin."""

import math

import numpy as np

from quantlab.formats.programs import Comparison, Program, python_program
from quantlab.formats.snippets import Wanted, identifier, javascript_array, javascript_text, python_arrays, sizes
from quantlab.types import Port

__all__ = ["javascript", "kotlin", "python", "reproduce"]

_NOT_IN_JAVASCRIPT = frozenset({"int8", "int16"})
"""Data types of inputs and outputs that LiteRT.js refuses."""


def python(wanted: Wanted) -> str:
    """LiteRT: inputs are set by their index."""
    lines = [
        "import numpy as np",
        "from ai_edge_litert.interpreter import Interpreter",
        "",
        *python_arrays(wanted.inputs),
        f"interpreter = Interpreter(model_path={wanted.path!r})",
        "interpreter.allocate_tensors()",
        "inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()",
    ]
    for port in wanted.inputs:
        place = port.position
        lines.append(f'interpreter.set_tensor(inputs[{place}]["index"], {identifier(port.name)})  # {port.tensor}')
    lines.append("interpreter.invoke()")
    for port in wanted.outputs:
        name = identifier(port.name)
        lines.append(f'{name} = interpreter.get_tensor(outputs[{port.position}]["index"])  # {port.tensor}')
        if port.codes is not None:
            lines.append(f'{name} = ({name}.astype("float32") - {port.codes.zero_point}) * {port.codes.scale!r}')
        lines.append(f'print("{name}", {name}.shape)')
    return "\n".join(lines)


def javascript(wanted: Wanted) -> str:
    """LiteRT.js, whose WebAssembly is served from /wasm/; a sentence for a file that it does not open."""
    refused = sorted({port.dtype for port in (*wanted.inputs, *wanted.outputs)} & _NOT_IN_JAVASCRIPT)
    if refused:
        return (
            f"// LiteRT.js takes no {' or '.join(refused)} inputs or outputs, so this file runs in no browser.\n"
            f"// Convert the model again with float inputs and outputs."
        )
    lines = [
        "import { loadAndCompile, loadLiteRt, Tensor } from '@litertjs/core';",
        "",
        "await loadLiteRt('/wasm/');",
        f"const model = await loadAndCompile({javascript_text(wanted.path)}, {{ accelerator: 'wasm' }});",
    ]
    for port in wanted.inputs:
        made = f"Tensor.fromTypedArray({javascript_array(port)}, {list(sizes(port))})"
        lines.append(f"const {identifier(port.name)} = {made}; // your values")
    outputs = sorted(wanted.outputs, key=lambda port: port.position)
    names = ", ".join(identifier(port.name) for port in outputs)
    lines.append(f"const [{names}] = await model.run([{', '.join(identifier(port.name) for port in wanted.inputs)}]);")
    lines += [f"console.log('{identifier(port.name)}', {_decoded(port)});" for port in outputs]
    return "\n".join(lines)


def _decoded(port: Port) -> str:
    values = f"{identifier(port.name)}.toTypedArray()"
    if port.codes is None:
        return values
    return f"Float32Array.from({values}, (code) => (code - {port.codes.zero_point}) * {port.codes.scale!r})"


def kotlin(wanted: Wanted) -> str:
    """The interpreter of LiteRT for Android; buffers are in the order of the processor."""
    lines = [
        "import java.io.File",
        "import java.nio.ByteBuffer",
        "import java.nio.ByteOrder",
        "import org.tensorflow.lite.Interpreter",
        "",
        f"val interpreter = Interpreter(File({javascript_text(wanted.path)}))",
    ]
    for port in (*wanted.inputs, *wanted.outputs):
        size = math.prod(sizes(port)) * np.dtype(port.dtype).itemsize
        lines.append(
            f"val {identifier(port.name)} = ByteBuffer.allocateDirect({size}).order(ByteOrder.nativeOrder())"
            f" // {port.dtype} {list(sizes(port))}"
        )
    fed = ", ".join(identifier(port.name) for port in wanted.inputs)
    given = ", ".join(f"{port.position} to {identifier(port.name)}" for port in wanted.outputs)
    lines.append(f"interpreter.runForMultipleInputsOutputs(arrayOf<Any>({fed}), mapOf<Int, Any>({given}))")
    lines += [
        f"// value of {port.name} = (code - {port.codes.zero_point}) * {port.codes.scale!r}"
        for port in wanted.outputs
        if port.codes is not None
    ]
    return "\n".join(lines)


def reproduce(comparison: Comparison) -> Program:
    """A program that runs a sub-graph in Python."""
    lines = "\n".join(
        [
            "from ai_edge_litert.interpreter import Interpreter",
            "",
            f"interpreter = Interpreter(model_path={comparison.subgraph!r}, num_threads=1)",
            "interpreter.allocate_tensors()",
            "for detail, values in zip(interpreter.get_input_details(), inputs, strict=True):",
            '    interpreter.set_tensor(detail["index"], values)',
            "interpreter.invoke()",
            'outputs = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]',
        ]
    )
    return python_program(comparison, lines)
