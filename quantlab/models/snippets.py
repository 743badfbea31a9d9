"""Code that calls a model that TensorFlow opens: Keras, the signature of a SavedModel, and TensorFlow Serving."""

import json
from pathlib import Path

from quantlab.formats.snippets import Wanted, identifier, python_arrays, sizes

__all__ = ["export_python", "keras_python", "serving_curl", "signature_python"]


_LIBRARIES = {"Keras 2": ("tf_keras", "models"), "Keras 3": ("keras", "saving")}
"""Kind of a model → its library, and the module that loads it."""


def keras_python(wanted: Wanted, kind: str, outputs: int) -> str:
    """`model.predict`.

    Args:
        wanted: The call.
        kind: `Keras 3` or `Keras 2`.
        outputs: Number of outputs.
    """
    library, load = _LIBRARIES[kind]
    names = [identifier(port.name) for port in wanted.inputs]
    fed = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    lines = [
        f"import {library}",
        "import numpy as np",
        "",
        *python_arrays(wanted.inputs),
        f"model = {library}.{load}.load_model({wanted.path!r}, compile=False)",
        f"result = model.predict({fed}, verbose=0)",
        "print(result.shape)" if outputs == 1 else "print(result)",
    ]
    return "\n".join(lines)


def export_python(path: str, folder: str, kind: str) -> str:
    """A comment with the code that exports a Keras model to a SavedModel."""
    library, load = _LIBRARIES[kind]
    save = f"save({folder!r}, save_format='tf')" if kind == "Keras 2" else f"export({folder!r})"
    return f"# once: {library}.{load}.load_model({path!r}, compile=False).{save}"


def signature_python(wanted: Wanted, signature: str) -> str:
    """The signature of a SavedModel, with tensors by name."""
    fed = ", ".join(f"{port.name!r}: tf.constant({identifier(port.name)})" for port in wanted.inputs)
    lines = [
        "import numpy as np",
        "import tensorflow as tf",
        "",
        *python_arrays(wanted.inputs),
        f"loaded = tf.saved_model.load({wanted.path!r})",
        f"result = loaded.signatures[{signature!r}](**{{{fed}}})",
    ]
    lines += [f"print({port.name!r}, result[{port.name!r}].shape)" for port in wanted.outputs]
    return "\n".join(lines)


def serving_curl(wanted: Wanted, signature: str) -> str:
    """A request to TensorFlow Serving's REST interface on its usual port, columns by name; zeros are fed."""
    name = Path(wanted.path).name.partition(".")[0]
    fed = ", ".join(
        f'{json.dumps(port.name)}: np.zeros({sizes(port)}, "{port.dtype}").tolist()' for port in wanted.inputs
    )
    body = f'{{"signature_name": {json.dumps(signature)}, "inputs": {{{fed}}}}}'
    return (
        f"python3 -c 'import json, numpy as np; print(json.dumps({body}))' \\\n"
        f"  | curl -d @- http://localhost:8501/v1/models/{name}:predict"
    )
