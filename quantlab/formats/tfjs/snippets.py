"""Code that calls a graph-model with TensorFlow.js."""

from quantlab.formats.programs import Comparison, Program
from quantlab.formats.snippets import Wanted, identifier, javascript_array, javascript_text, sizes
from quantlab.formats.tfjs_program import Loading, javascript_program
from quantlab.types import Port

__all__ = ["javascript", "reproduce"]


def javascript(wanted: Wanted) -> str:
    """`model.predict` with inputs by name; a graph with loops or branches needs `executeAsync`."""
    lines = [
        "import * as tf from '@tensorflow/tfjs';",
        "",
        f"const model = await tf.loadGraphModel({javascript_text(wanted.path)});",
    ]
    for port in wanted.inputs:
        made = f"tf.tensor({javascript_array(port)}, {list(sizes(port))}, '{_dtype(port)}')"
        lines.append(f"const {identifier(port.name)} = {made}; // your values")
    fed = ", ".join(f"{javascript_text(port.name)}: {identifier(port.name)}" for port in wanted.inputs)
    outputs = sorted(wanted.outputs, key=lambda port: port.position)
    names = ", ".join(identifier(port.name) for port in outputs)
    wanted_names = ", ".join(javascript_text(port.tensor) for port in outputs)
    lines.append(f"const [{names}] = [await model.executeAsync({{ {fed} }}, [{wanted_names}])].flat();")
    for port in outputs:
        name = identifier(port.name)
        lines.append(f"console.log('{name}', {name}.shape, await {name}.data());")
    return "\n".join(lines)


def _dtype(port: Port) -> str:
    """The dtype in which TensorFlow.js computes."""
    return port.dtype if port.dtype in {"float32", "bool"} else "int32" if "int" in port.dtype else "float32"


def reproduce(comparison: Comparison) -> Program:
    """A program that runs a sub-graph in TensorFlow.js."""
    return javascript_program(comparison, Loading("@tensorflow/tfjs-converter", "loadGraphModel"))
