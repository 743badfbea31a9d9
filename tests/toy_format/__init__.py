"""A toy format in its own folder: everything that a new format needs, without changes of quantlab's code.

A file holds one dense layer with a softmax, its kernel in float32 or in int8 with one scale.
"""

from quantlab.formats import Format, PythonExecutor
from quantlab.formats.contract import later
from quantlab.types import Setting
from quantlab_converters import Converter, RecipeRequest

__all__ = ["CONVERTER", "FORMAT"]

FORMAT = Format(
    name="toy",
    settings=(
        Setting("toy-float32", "toy", "float32", "one dense layer, weights as they are"),
        Setting("toy-int8", "toy", "int8", "one dense layer, its kernel in int8"),
    ),
    looks="a .toy file",
    inspect=later("toy_format.files:inspect"),
    recognizes=later("toy_format.files:recognizes"),
    served=lambda folder: folder / "model.toy",
    files=lambda path: [path],
    weights=later("toy_format.files:list_weights"),
    taps=later("toy_format.files:list_taps"),
    ops=later("toy_format.files:list_ops"),
    python=PythonExecutor(
        load="toy_format.execution:load",
        library="numpy",
        packages=("numpy",),
        tap="toy_format.execution:tap",
    ),
)


def _recipe(request: RecipeRequest) -> str:
    return f"toy-convert {request.source} --scheme {request.scheme}"


CONVERTER = Converter(convert="toy_format.conversion:convert", packages=("numpy",), recipe=_recipe, takes=("ONNX",))
