"""A layers-model of a user on its way to settings: as the official converter does, it is read by Keras 2."""

import shlex
from pathlib import Path

from quantlab.formats.tfjs_layers import FORMAT
from quantlab.formats.tfjs_manifest import document_file
from quantlab.models import narrow_dtypes, rebuilt_model
from quantlab.types import KEEPS_FLOAT
from quantlab_converters.contract import RecipeRequest
from quantlab_converters.copied import copy_recipe
from quantlab_converters.float_layers import plain_scheme
from quantlab_converters.new_folder import NEW_FOLDER_IMPORT, into_new_folder, new_folder_line

__all__ = ["artifact_of", "as_hdf5", "recipe_of_artifact", "stores_float32"]


def artifact_of(model: Path) -> Path | None:
    """The layers-model at a user's path; None if the model is no layers-model."""
    artifact = FORMAT.served(model)
    return artifact if FORMAT.recognizes(artifact) else None


def stores_float32(artifact: Path) -> bool:
    """Whether all weights are stored in full."""
    return not narrow_dtypes(FORMAT.inspect(artifact).weights)


def as_hdf5(artifact: Path, file: Path) -> Path:
    """Save the model as an `.h5` file, if that is not done yet, and return the file's path."""
    if not file.exists():
        rebuilt_model(artifact).save(file, save_format="h5")
    return file


def recipe_of_artifact(artifact: Path, request: RecipeRequest) -> str:
    """The official command, or a program for what no official command makes; see `Converter.recipe`."""
    if request.scheme == "float32" and stores_float32(artifact):
        return copy_recipe(FORMAT, request.setting, artifact)
    if request.scheme.endswith(KEEPS_FLOAT):
        return _PROGRAM.format(
            imports=NEW_FOLDER_IMPORT,
            new_folder=new_folder_line(request.setting),
            artifact=str(artifact),
            scheme=request.scheme,
            float_layers=list(request.float_layers),
        )
    words = ["tensorflowjs_converter", "--input_format=tfjs_layers_model", "--output_format=tfjs_layers_model"]
    if request.scheme != "float32":
        words.append(f"--quantize_{plain_scheme(request.scheme)}=*")
    return into_new_folder(request.setting, shlex.join([*words, str(document_file(artifact))]))


_PROGRAM = """\
# The official command names weights; quantlab finds those of the layers that stay in float.
{imports}
from pathlib import Path
from quantlab_converters.tfjs_layers import write_layers_model
from quantlab_converters.tfjs_layers_again import as_hdf5

{new_folder}
with tempfile.TemporaryDirectory() as work:
    file = as_hdf5(Path({artifact!r}), Path(work, "model.h5"))
    write_layers_model(file, Path(folder), {scheme!r}, {float_layers!r})
print(folder)
"""
