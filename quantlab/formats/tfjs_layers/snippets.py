"""Code that calls a layers-model with TensorFlow.js."""

from quantlab.formats.programs import Comparison, Program
from quantlab.formats.snippets import Wanted, identifier, javascript_array, javascript_text, sizes
from quantlab.formats.tfjs_program import Loading, javascript_program

__all__ = ["javascript", "reproduce"]


def javascript(wanted: Wanted) -> str:
    """`model.predict` with inputs in order."""
    lines = [
        "import * as tf from '@tensorflow/tfjs';",
        "",
        f"const model = await tf.loadLayersModel({javascript_text(wanted.path)});",
    ]
    for port in wanted.inputs:
        made = f"tf.tensor({javascript_array(port)}, {list(sizes(port))}, '{port.dtype}')"
        lines.append(f"const {identifier(port.name)} = {made}; // your values")
    fed = ", ".join(identifier(port.name) for port in wanted.inputs)
    outputs = sorted(wanted.outputs, key=lambda port: port.position)
    names = ", ".join(identifier(port.name) for port in outputs)
    lines.append(f"const [{names}] = [model.predict([{fed}])].flat();")
    for port in outputs:
        name = identifier(port.name)
        lines.append(f"console.log('{name}', {name}.shape, await {name}.data());")
    return "\n".join(lines)


def reproduce(comparison: Comparison) -> Program:
    """A program that runs a part in TensorFlow.js."""
    return javascript_program(comparison, Loading("@tensorflow/tfjs-layers", "loadLayersModel"))
