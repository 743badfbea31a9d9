"""TensorFlow.js layers-models: configuration and weights of a Keras 2 model, by functions of the official converter.

An `.h5` file is used directly, like `tensorflowjs_converter --input_format=keras`. A SavedModel written by `tf_keras`
(for a `.keras` file, the one exported from the reference) is first saved as an `.h5` file, like
`--input_format=keras_saved_model`. The four settings differ only in how `write_weights` stores the weights.
"""

import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from quantlab.errors import ConversionError
from quantlab.formats.tfjs_layers import FORMAT
from quantlab.formats.tfjs_layers.artifact import refuse_keras_3, refuse_nested_ports, refuse_unknown_layers
from quantlab.models import read_keras_config
from quantlab.types import KEEPS_FLOAT
from quantlab_converters.contract import ConversionRequest, Converter, FromArtifact, RecipeRequest
from quantlab_converters.copied import copy_artifact
from quantlab_converters.float_layers import kept_weights, list_parts, plain_scheme
from quantlab_converters.new_folder import NEW_FOLDER_IMPORT, into_new_folder, new_folder_line
from quantlab_converters.tfjs_layers_again import artifact_of, as_hdf5, recipe_of_artifact, stores_float32
from quantlab_converters.tfjs_weights import refuse_unquantizable, stored_as, words_of_the_converter

__all__ = ["CONVERTER", "convert", "saved_again", "write_layers_model"]


def convert(request: ConversionRequest) -> Iterator[str]:
    """See `Converter.convert`."""
    yield next(iter(request.schemes))  # a failure to read the model is attributed to the first scheme
    if (artifact := artifact_of(_given(request))) is not None:
        yield from _convert_artifact(artifact, request)
        return
    file = _hdf5(request)
    layers, where = read_keras_config(file).layers, f"'{_given(request)}'"
    refuse_unknown_layers(layers, where)
    refuse_nested_ports(layers, where)
    for scheme, folder in request.schemes.items():
        yield scheme
        write_layers_model(file, folder, scheme, request.float_layers.get(scheme, ()))


def _convert_artifact(artifact: Path, request: ConversionRequest) -> Iterator[str]:
    """Make the settings of a layers-model that the user gave; with float32 weights, it is that setting itself."""
    for scheme, folder in request.schemes.items():
        yield scheme
        if scheme == "float32" and stores_float32(artifact):
            copy_artifact(FORMAT, artifact, folder)
        else:
            file = as_hdf5(artifact, request.work / "model.h5")
            write_layers_model(file, folder, scheme, request.float_layers.get(scheme, ()))


def _given(request: ConversionRequest) -> Path:
    return request.model or request.source


def _hdf5(request: ConversionRequest) -> Path:
    """Path of the model as a Keras 2 `.h5` file."""
    model = _given(request)
    if not model.is_dir():
        config = read_keras_config(model)
        if config.of_keras_3:
            refuse_keras_3(config.layers, f"'{model}'")
        if model.suffix in _HDF5:
            return model
    return saved_again(request.source, request.work / "model.h5")


_HDF5 = frozenset({".h5", ".hdf5"})


def saved_again(saved_model: Path, file: Path) -> Path:
    """Save the Keras 2 model of a SavedModel as an `.h5` file, and return the file's path.

    Raises:
        ConversionError: If the SavedModel holds no Keras model with a configuration.
    """
    import tf_keras

    try:
        model = tf_keras.models.load_model(saved_model, compile=False)
    except (ValueError, AttributeError, OSError):  # raised for a SavedModel that Keras did not write
        model = None
    if not isinstance(model, tf_keras.Model):
        raise ConversionError(
            f"a layers-model consists of Keras layers, and the SavedModel '{saved_model}' has none that tf_keras can "
            f"read; use a graph-model instead, that is, the settings tfjs-*, or give the .h5 file of a Keras 2 model"
        )
    try:
        model.save(file, save_format="h5")
    except NotImplementedError as error:  # a subclassed model has no configuration
        raise ConversionError(
            f"the model '{saved_model}' is subclassed, so its layers are Python code without a configuration; use a "
            f"graph-model instead, that is, the settings tfjs-*"
        ) from error
    return file


def write_layers_model(file: Path, folder: Path, scheme: str, float_layers: Sequence[str] = ()) -> None:
    """Write the layers-model of a Keras 2 file.

    Args:
        file: The `.h5` file.
        folder: The folder to write into.
        scheme: `uint8`, `uint8+float` and so on.
        float_layers: What stays in float; see `FloatLayer`.

    Raises:
        ConversionError: If a weight cannot be stored, or a layer is not there.
    """
    with tempfile.TemporaryDirectory() as float32:
        if float_layers:
            _write(file, Path(float32), "float32", {})
        kept = kept_weights(FORMAT, Path(float32), float_layers)
    _write(file, folder, scheme, kept)


def _write(file: Path, folder: Path, scheme: str, kept: Mapping[str, str]) -> None:
    from tensorflowjs.converters import keras_h5_conversion

    # Read the file for each scheme, because write_artifacts modifies the data.
    topology, groups = keras_h5_conversion.h5_merged_saved_model_to_tfjs_format(str(file))
    for group in groups:
        for entry in group:
            if entry["name"] not in kept:
                refuse_unquantizable(entry["name"], entry["data"], plain_scheme(scheme))
    names = [entry["name"] for group in groups for entry in group]
    quantized = {} if scheme == "float32" else stored_as(plain_scheme(scheme), names, kept)
    keras_h5_conversion.write_artifacts(topology, groups, str(folder), quantized)


def _recipe(request: RecipeRequest) -> str:
    """One line for a shell that runs the official converter, or a program if layers stay in float."""
    model = request.model or request.source
    if (artifact := artifact_of(model)) is not None:
        return recipe_of_artifact(artifact, request)
    of_keras = model.suffix in _HDF5
    if request.scheme.endswith(KEEPS_FLOAT):
        file = f"Path({str(model)!r})" if of_keras else f"saved_again(Path({str(request.source)!r}), model)"
        return _PROGRAM.format(
            new_folder_import=NEW_FOLDER_IMPORT,
            new_folder=new_folder_line(request.setting),
            file=file,
            scheme=request.scheme,
            float_layers=list(request.float_layers),
        )
    words = ["tensorflowjs_converter", f"--input_format={'keras' if of_keras else 'keras_saved_model'}"]
    if request.scheme != "float32":
        words.append(f"--quantize_{request.scheme}=*")
    return into_new_folder(request.setting, shlex.join([*words, str(model if of_keras else request.source)]))


_PROGRAM = """\
# The official command names weights; quantlab finds those of the layers that stay in float.
{new_folder_import}
from pathlib import Path
from quantlab_converters.tfjs_layers import saved_again, write_layers_model

{new_folder}
with tempfile.TemporaryDirectory() as work:
    model = Path(work, "model.h5")
    write_layers_model({file}, Path(folder), {scheme!r}, {float_layers!r})
print(folder)
"""

CONVERTER = Converter(
    convert="quantlab_converters.tfjs_layers:convert",
    packages=("tensorflow", "tensorflowjs", "tf_keras"),
    recipe=_recipe,
    parts=partial(list_parts, FORMAT),
    words=partial(words_of_the_converter, FORMAT),
    from_artifact={"layers-model": FromArtifact(("float32", "float16", "uint8", "uint16"))},
)
