"""Code that calls an ONNX file with ONNX Runtime in Python, JavaScript and Kotlin."""

import json

from quantlab.formats.programs import Comparison, Program, python_program
from quantlab.formats.snippets import Wanted, identifier, javascript_array, javascript_text, python_arrays, sizes
from quantlab.types import Port

__all__ = ["javascript", "kotlin", "python", "reproduce"]


def python(wanted: Wanted) -> str:
    """`session.run` with inputs by name."""
    fed = ", ".join(f"{json.dumps(port.tensor)}: {identifier(port.name)}" for port in wanted.inputs)
    names = [port.tensor for port in wanted.outputs]
    lines = [
        "import numpy as np",
        "import onnxruntime",
        "",
        *python_arrays(wanted.inputs),
        f'session = onnxruntime.InferenceSession({wanted.path!r}, providers=["CPUExecutionProvider"])',
        f"{_listed(wanted.outputs)} = session.run({names!r}, {{{fed}}})",
    ]
    lines += [f'print("{identifier(port.name)}", {identifier(port.name)}.shape)' for port in wanted.outputs]
    return "\n".join(lines)


def _listed(outputs: tuple[Port, ...]) -> str:
    return f"[{', '.join(identifier(port.name) for port in outputs)}]"


def javascript(wanted: Wanted) -> str:
    """onnxruntime-web."""
    lines = [
        "import * as ort from 'onnxruntime-web';",
        "",
        f"const session = await ort.InferenceSession.create({javascript_text(wanted.path)});",
    ]
    for port in wanted.inputs:
        made = f"new ort.Tensor('{port.dtype}', {javascript_array(port)}, {list(sizes(port))})"
        lines.append(f"const {identifier(port.name)} = {made}; // your values")
    fed = ", ".join(f"{javascript_text(port.tensor)}: {identifier(port.name)}" for port in wanted.inputs)
    lines.append(f"const result = await session.run({{ {fed} }});")
    for port in wanted.outputs:
        found = f"result[{javascript_text(port.tensor)}]"
        lines.append(f"console.log('{identifier(port.name)}', {found}.dims, {found}.data);")
    return "\n".join(lines)


_BUFFERS = {"float32": "FloatBuffer", "int32": "IntBuffer", "int64": "LongBuffer"}


def kotlin(wanted: Wanted) -> str:
    """ONNX Runtime for Android or the JVM."""
    lines = [
        "import ai.onnxruntime.OnnxTensor",
        "import ai.onnxruntime.OrtEnvironment",
        "import java.nio.*",
        "",
        "val environment = OrtEnvironment.getEnvironment()",
        f"val session = environment.createSession({javascript_text(wanted.path)})",
    ]
    for port in wanted.inputs:
        shape = ", ".join(str(size) for size in sizes(port))
        count = " * ".join(str(size) for size in sizes(port)) or "1"
        buffer = _BUFFERS.get(port.dtype, "ByteBuffer")
        lines.append(
            f"val {identifier(port.name)} = OnnxTensor.createTensor(environment, {buffer}.allocate({count}), "
            f"longArrayOf({shape})) // {port.dtype}"
        )
    fed = ", ".join(f"{javascript_text(port.tensor)} to {identifier(port.name)}" for port in wanted.inputs)
    lines.append(f"val result = session.run(mapOf({fed}))")
    lines += [
        f"val {identifier(port.name)} = result.get({javascript_text(port.tensor)}).get().value"
        for port in wanted.outputs
    ]
    return "\n".join(lines)


def reproduce(comparison: Comparison) -> Program:
    """A program that runs a sub-graph in Python."""
    file = comparison.subgraph
    lines = "\n".join(
        [
            "import onnxruntime",
            "",
            "options = onnxruntime.SessionOptions()",
            "options.intra_op_num_threads = options.inter_op_num_threads = 1",
            f'session = onnxruntime.InferenceSession({file!r}, options, providers=["CPUExecutionProvider"])',
            "feeds = {port.name: values for port, values in zip(session.get_inputs(), inputs, strict=True)}",
            "outputs = session.run(None, feeds)",
        ]
    )
    return python_program(comparison, lines)
