"""The recipe of settings that are made from a graph-model of a user, whose weights are stored again."""

from quantlab.formats.tfjs import FORMAT
from quantlab_converters.contract import RecipeRequest
from quantlab_converters.copied import copy_recipe
from quantlab_converters.new_folder import NEW_FOLDER_IMPORT, new_folder_line

__all__ = ["recipe_of_artifact"]


def recipe_of_artifact(request: RecipeRequest) -> str:
    """A program; the official converter reads no graph-models."""
    if request.scheme == "float32":
        return copy_recipe(FORMAT, request.setting, request.source)
    return _PROGRAM.format(
        imports=NEW_FOLDER_IMPORT,
        new_folder=new_folder_line(request.setting),
        source=str(request.source),
        scheme=request.scheme,
        float_layers=list(request.float_layers),
    )


_PROGRAM = """\
# The official converter reads no graph-models; its functions store the weights of this one again.
{imports}
from pathlib import Path
from quantlab.formats.tfjs_float import write_float
from quantlab_converters.tfjs import store_again

{new_folder}
with tempfile.TemporaryDirectory() as work:
    float32 = Path(work, "float32")
    write_float(Path({source!r}), float32)
    store_again(float32, Path(folder), {scheme!r}, {float_layers!r})
print(folder)
"""
