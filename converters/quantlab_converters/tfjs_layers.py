"""TensorFlow.js layers-models: the configuration and weights of a Keras 2 model, by the official converter's functions.

An `.h5` file is taken as it is, as `tensorflowjs_converter --input_format=keras` does; a SavedModel that `tf_keras`
wrote (and of a `.keras` file the one that the reference was exported to) is first saved as an `.h5` file, as
`--input_format=keras_saved_model` does. The four settings differ only in what `write_weights` makes of the weights.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

from quantlab.errors import ConversionError
from quantlab.formats.tfjs_layers.artifact import refuse_keras_3, refuse_unknown_layers
from quantlab.models import read_keras_config
from quantlab_converters.contract import ConversionRequest, Converter, RecipeRequest
from quantlab_converters.tfjs_weights import refuse_unquantizable

__all__ = ["CONVERTER", "convert"]


def convert(request: ConversionRequest) -> Iterator[str]:
    """As `Converter.convert` says."""
    yield next(iter(request.schemes))  # whose failure one of the model itself is
    file = _hdf5(request)
    refuse_unknown_layers(read_keras_config(file).layers, f"'{_given(request)}'")
    for scheme, folder in request.schemes.items():
        yield scheme
        _write(file, folder, scheme)


def _given(request: ConversionRequest) -> Path:
    return request.model or request.source


def _hdf5(request: ConversionRequest) -> Path:
    """The model as an `.h5` file of Keras 2."""
    model = _given(request)
    if not model.is_dir():
        config = read_keras_config(model)
        if config.of_keras_3:
            refuse_keras_3(config.layers, f"'{model}'")
        if model.suffix in _HDF5:
            return model
    return _saved_again(request.source, request.work / "model.h5")


_HDF5 = frozenset({".h5", ".hdf5"})


def _saved_again(saved_model: Path, file: Path) -> Path:
    import tf_keras

    try:
        model = tf_keras.models.load_model(saved_model, compile=False)
    except (ValueError, AttributeError, OSError):  # what it says of a SavedModel that Keras has no part in
        model = None
    if not isinstance(model, tf_keras.Model):
        raise ConversionError(
            f"a layers-model is made of Keras layers, and '{saved_model}' is a SavedModel without any that tf_keras "
            f"knows; use the graph-model, that is the settings tfjs-*, or give the .h5 file of a Keras 2 model"
        )
    try:
        model.save(file, save_format="h5")
    except NotImplementedError as error:  # a subclassed model has no configuration
        raise ConversionError(
            f"the model '{saved_model}' is subclassed, so its layers are Python code and no configuration; use the "
            f"graph-model, that is the settings tfjs-*"
        ) from error
    return file


def _write(file: Path, folder: Path, scheme: str) -> None:
    from tensorflowjs.converters import keras_h5_conversion

    # Read again for each: what is written is changed on the way.
    topology, groups = keras_h5_conversion.h5_merged_saved_model_to_tfjs_format(str(file))
    for group in groups:
        for entry in group:
            refuse_unquantizable(entry["name"], entry["data"], scheme)
    # True stands for every weight, as `--quantize_uint8=*` does.
    quantized = {} if scheme == "float32" else {scheme: True}
    keras_h5_conversion.write_artifacts(topology, groups, str(folder), quantized)


def _recipe(request: RecipeRequest) -> str:
    """One shell command."""
    model = request.model or request.source
    of_keras = model.suffix in _HDF5
    words = ["tensorflowjs_converter", f"--input_format={'keras' if of_keras else 'keras_saved_model'}"]
    if request.scheme != "float32":
        words.append(f"--quantize_{request.scheme}=*")
    return shlex.join([*words, str(model if of_keras else request.source), "out"])


CONVERTER = Converter(
    convert="quantlab_converters.tfjs_layers:convert",
    packages=("tensorflow", "tensorflowjs", "tf_keras"),
    recipe=_recipe,
)
