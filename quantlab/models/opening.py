"""Opens a model with the library that wrote it, as a function from arrays to arrays.

Keras files are opened by the Keras version that wrote them, and exported once to a SavedModel, from which every
converter starts. The reference is what that SavedModel computes. Inputs and outputs have the names of its signature.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ModelError, QuantlabError
from quantlab.formats.tfjs_manifest import served
from quantlab.models.exported import exported_call, keras_calls
from quantlab.models.files import ModelFile, ModelOptions, read_keras_config
from quantlab.models.graph_ops import refuse_acting_saved_model
from quantlab.models.h5_outside import refuse_outside
from quantlab.models.keras_layers import foreign_modules
from quantlab.models.onnx import open_onnx_reference
from quantlab.models.precision import keras2_to_float32, keras3_to_float32, keras_quantization, stored_quantization
from quantlab.models.rebuilt import rebuilt_model
from quantlab.models.reference import Reference
from quantlab.models.rescaling import rescaling_layers
from quantlab.models.signatures import signature_specs
from quantlab.models.training import training_layers
from quantlab.types import ModelDescription

__all__ = ["open_reference", "opens"]

Arrays = Sequence[npt.NDArray[Any]]
_DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True, slots=True)
class _Opened:
    """A model that is loaded, before its signature has been read."""

    call: Callable[..., Any]
    """Function from tensors, in the order of `input_names`, to the model's result of any structure; of a Keras model
    also with its keyword `training`."""
    input_names: tuple[str, ...]
    output_names: Callable[[Any], list[str]]
    """Function from a result to the signature's names for its flattened tensors."""
    parameters: int
    saved_model: Path
    signature: str
    variables: Callable[[], Iterable[Any]]
    """Function that returns the variables, of Keras or of TensorFlow."""
    keras: Any = None
    """The Keras model; None for a SavedModel."""
    cast_from: str | None = None
    quantized: str | None = None
    """Both as in `ModelDescription`."""


def open_reference(file: ModelFile, options: ModelOptions, export: Path) -> Reference:
    """Open a model, and export it to a SavedModel if it is a Keras model.

    Args:
        file: The result of `identify`.
        options: How to open it.
        export: Folder for the SavedModel of a Keras file; reused if it exists.

    Raises:
        ModelError: If its library cannot open it, or an input or output is of a type that no variant supports.
    """
    if not options.unsafe:
        _refuse_acting(file, options)
    if file.kind == "ONNX":
        return open_onnx_reference(file, options, export.with_name("shaped") / file.path.name)
    opened = _OPENERS[file.kind](file, options, export)
    inputs, outputs = signature_specs(opened.saved_model, opened.signature)
    by_name = {spec.name: spec for spec in inputs}
    if set(by_name) != set(opened.input_names):
        raise ModelError(
            f"'{file.path}' has the inputs {_listed(opened.input_names)} in Keras, but {_listed(by_name)} as a "
            f"SavedModel; export it to a SavedModel with named inputs and give that folder"
        )
    description = ModelDescription(
        path=str(file.path),
        kind=file.kind,
        sha256=file.sha256,
        inputs=tuple(by_name[name] for name in opened.input_names),
        outputs=tuple(outputs),
        parameters=opened.parameters,
        signature=opened.signature if file.kind == "SavedModel" else None,
        cast_from=opened.cast_from,
        quantized=opened.quantized,
        decoded_from=file.narrow,
    )
    _refuse_strings(description)
    layers = training_layers(opened.saved_model, opened.signature, opened.keras)
    call, calls = _caller(opened, description), None
    if opened.keras is not None:
        call = exported_call(opened.saved_model, opened.signature, description)
        calls = keras_calls(opened.keras, opened.call, opened.output_names, description)
    return Reference(
        description,
        opened.saved_model,
        call,
        weights=lambda: _weights(opened),
        keras=calls,
        training_layers=layers,
        rescaling=rescaling_layers(opened.keras),
    )


def _refuse_acting(file: ModelFile, options: ModelOptions) -> None:
    """Check what only the libraries tell; `identify` has checked the layers of a Keras file."""
    if file.kind == "SavedModel":
        refuse_acting_saved_model(file.path, options.signature)
    if file.kind in {"Keras 3", "Keras 2"}:
        refuse_outside(file.path)


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _refuse_strings(description: ModelDescription) -> None:
    for spec in (*description.inputs, *description.outputs):
        if spec.dtype == "str":
            raise ModelError(
                f"'{spec.name}' of '{description.path}' holds strings, which neither tfjs in WebAssembly nor LiteRT "
                f"supports; export the part of the model after the text processing"
            )


def _caller(opened: _Opened, description: ModelDescription) -> Callable[[Arrays], list[npt.NDArray[Any]]]:
    import tensorflow as tf

    wanted = [spec.name for spec in description.outputs]
    function = tf.function(opened.call, reduce_retracing=True)

    def call(arrays: Arrays) -> list[npt.NDArray[Any]]:
        result = function([tf.constant(array) for array in arrays])
        named = dict(zip(opened.output_names(result), tf.nest.flatten(result), strict=True))
        return [named[name].numpy() for name in wanted]

    return call


def _weights(opened: _Opened) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Names and values of numeric variables; Keras 3 has the layer's path apart from the name."""
    for variable in opened.variables():
        name, values = getattr(variable, "path", variable.name), np.asarray(variable.numpy())
        if values.dtype.kind == "V":  # bfloat16 and other types that NumPy does not have
            values = values.astype(np.float32)
        if values.dtype.kind in "biuf":
            yield name.removesuffix(":0"), values


def _open_keras3(file: ModelFile, options: ModelOptions, export: Path) -> _Opened:
    import keras

    model = _load(file, lambda: keras.saving.load_model(file.path, compile=False, safe_mode=not options.unsafe))
    cast_from = keras3_to_float32(model)
    structure = _keras3_inputs(model, file)
    signature = _fixed_batch(model, structure)
    _export(file, export, lambda folder: model.export(folder, verbose=False, input_signature=signature))
    inputs, _ = signature_specs(export, _DEFAULT_SIGNATURE)
    flat = keras.tree.flatten(structure)
    names = [spec.name for spec in inputs]
    ordered = [name for name in (getattr(tensor, "name", None) for tensor in flat) if name in names]
    return _Opened(
        call=lambda tensors, **keywords: model(keras.tree.pack_sequence_as(structure, tensors), **keywords),
        input_names=tuple(ordered if len(ordered) == len(flat) else names),
        output_names=lambda result: _result_names(result, first=0),
        parameters=int(model.count_params()),
        saved_model=export,
        signature=_DEFAULT_SIGNATURE,
        variables=lambda: model.variables,
        keras=model,
        cast_from=cast_from,
        quantized=keras_quantization(model),
    )


def _fixed_batch(model: Any, structure: Any) -> list[Any] | None:
    """The input signature of a model with a stateful layer, whose state has a fixed batch size; None for others.

    Keras 3 exports with an open batch size otherwise, which such a layer refuses.
    """
    import keras

    if not any(getattr(layer, "stateful", False) is True for layer in model._flatten_layers()):
        return None
    return [
        keras.tree.map_structure(
            lambda tensor: keras.layers.InputSpec(shape=tensor.shape, dtype=tensor.dtype, name=tensor.name), structure
        )
    ]


def _keras3_inputs(model: Any, file: ModelFile) -> Any:
    """Structure of a model's inputs; a subclassed model is called once, because exporting requires it."""
    import keras
    import numpy as np

    struct = getattr(model, "_inputs_struct", None)
    if struct is None and isinstance(model, keras.Sequential) and model.inputs:
        struct = model.inputs[0] if len(model.inputs) == 1 else list(model.inputs)
    if struct is not None:
        return struct
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, (list, tuple)) or not all(isinstance(size, int | None) for size in shape):
        raise ModelError(
            f"the subclassed model of '{file.path}' does not record the shape of its input; "
            f"call it once before saving, or save it with model.export('saved_model') and give that folder"
        )
    zeros = np.zeros([1 if size is None else size for size in [1, *shape[1:]]], np.float32)
    try:
        model(zeros, training=False)
    except Exception as error:  # the user's code may raise anything
        raise ModelError(
            f"the subclassed model of '{file.path}' could not be called with one float32 tensor of shape {zeros.shape} "
            f"({type(error).__name__}: {_one_line(error)[:300]}); save it with model.export('saved_model') and give "
            f"that folder"
        ) from error
    return keras.KerasTensor((None, *shape[1:]), name="args_0")


def _open_keras2(file: ModelFile, options: ModelOptions, export: Path) -> _Opened:
    import tf_keras

    def load() -> Any:
        if file.path.suffix == ".keras":
            return tf_keras.models.load_model(file.path, compile=False, safe_mode=not options.unsafe)
        return tf_keras.models.load_model(file.path, compile=False)

    _refuse_foreign_modules(file, tf_keras.saving.get_registered_object)
    return _opened_keras2(file, _load(file, load), export)


def _open_layers_model(file: ModelFile, options: ModelOptions, export: Path) -> _Opened:
    del options  # its configuration can name no code
    return _opened_keras2(file, _load(file, lambda: rebuilt_model(served(file.path))), export)


def _opened_keras2(file: ModelFile, model: Any, export: Path) -> _Opened:
    cast_from = keras2_to_float32(model)
    _export(file, export, lambda folder: _save_keras2(model, folder))
    inputs, _ = signature_specs(export, _DEFAULT_SIGNATURE)
    names = getattr(model, "input_names", None) or [spec.name for spec in inputs]
    functional = getattr(model, "output_names", None)
    return _Opened(
        call=lambda tensors, **keywords: model(tensors[0] if len(tensors) == 1 else tensors, **keywords),
        input_names=tuple(names),
        output_names=lambda result: functional or _result_names(result, first=1),
        parameters=int(model.count_params()),
        saved_model=export,
        signature=_DEFAULT_SIGNATURE,
        variables=lambda: model.variables,
        keras=model,
        cast_from=cast_from,
    )


def _save_keras2(model: Any, folder: str) -> None:
    """Save as tensorflowjs_converter does for a graph-model, but without the functions of each layer.

    The signature is that which Keras saves by default. To trace the layers takes longer than all else in opening a
    model, and each conversion would load what came of it.
    """
    from tf_keras.src.saving.legacy.saving_utils import trace_model_call

    signature = trace_model_call(model)
    model.save(folder, include_optimizer=False, save_format="tf", save_traces=False, signatures=signature)


def _refuse_foreign_modules(file: ModelFile, registered: Callable[[str], Any]) -> None:
    """Keras 2 imports whatever module a file names for an object that it does not know; Keras 3 imports its own alone.

    Raises:
        ModelError: If there is such an object; that `--custom` imports its module first is the user's to say.
    """
    for _, name in foreign_modules(read_keras_config(file.path).layers):
        if registered(name) is None:
            raise ModelError(_not_of_keras(file, name.rpartition(">")[2], "tf_keras"))


def _open_saved_model(file: ModelFile, options: ModelOptions, export: Path) -> _Opened:
    import tensorflow as tf

    del export  # the source is already a SavedModel
    loaded = _load(file, lambda: tf.saved_model.load(str(file.path)))
    signature = _choose_signature(file, dict(loaded.signatures), options.signature)
    function = loaded.signatures[signature]
    names = tuple(function.structured_input_signature[1])

    def call(tensors: list[Any]) -> Any:
        # Access through `loaded` keeps it alive; otherwise its variables would be deleted.
        return loaded.signatures[signature](**dict(zip(names, tensors, strict=True)))

    held = (*getattr(loaded, "variables", ()), *function.variables)
    variables = {id(variable): variable for variable in held if variable is not None}  # None is a lookup table
    return _Opened(
        call=call,
        input_names=names,
        output_names=sorted,
        parameters=sum(int(np.prod(variable.shape)) for variable in variables.values()),
        saved_model=file.path,
        signature=signature,
        variables=variables.values,
        quantized=stored_quantization(variables.values()),
    )


_OPENERS: Mapping[str, Callable[[ModelFile, ModelOptions, Path], _Opened]] = {
    "Keras 3": _open_keras3,
    "Keras 2": _open_keras2,
    "SavedModel": _open_saved_model,
    "layers-model": _open_layers_model,
}


def opens(kind: str) -> bool:
    """Whether models of this kind are opened here, and not by the executor of their format."""
    return kind in {*_OPENERS, "ONNX"}


def _choose_signature(file: ModelFile, signatures: Mapping[str, Any], asked: str | None) -> str:
    if asked is None:
        asked = next(iter(signatures)) if len(signatures) == 1 else _DEFAULT_SIGNATURE
    if asked in signatures:
        return asked
    if not signatures:
        raise ModelError(
            f"the SavedModel '{file.path}' has no signature that can be called; "
            f"save it with tf.saved_model.save(module, folder, signatures=module.call.get_concrete_function(…))"
        )
    raise ModelError(
        f"the SavedModel '{file.path}' has no signature '{asked}'; it has {_listed(signatures)}, "
        f"so choose one with --signature"
    )


def _result_names(result: Any, *, first: int) -> list[str]:
    """Names that Keras assigns to a result when it exports: the keys of a dict, otherwise `output_<n>`."""
    import tensorflow as tf

    if isinstance(result, Mapping):
        return sorted(result)
    return [f"output_{number}" for number, _ in enumerate(tf.nest.flatten(result), start=first)]


def _export(file: ModelFile, folder: Path, write: Callable[[str], Any]) -> None:
    """Write the SavedModel and rename it when complete; an existing one is kept, since converters may be reading it."""
    if folder.is_dir():
        return
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _load(file, lambda: write(str(partial)))
    partial.rename(folder)


def _load(file: ModelFile, load: Callable[[], Any]) -> Any:
    """Run one step of a library; its exception becomes a ModelError of one sentence."""
    try:
        return load()
    except ModelError:
        raise
    except QuantlabError as error:
        raise ModelError(f"'{file.path}' cannot be opened: {error}") from error
    except Exception as error:
        raise ModelError(_explain(file, error)) from error


_UNKNOWN_CLASS = (
    r"(?:Could not locate class|Unknown (?:layer|object|class|function)|Could not locate function):? '(?:\w+>)?(\w+)'"
)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _not_of_keras(file: ModelFile, name: str, library: str) -> str:
    return (
        f"'{file.path}' uses '{name}', which is not part of Keras; name the module that registers it "
        f"(@{library}.saving.register_keras_serializable()) with --custom MODULE"
    )


def _explain(file: ModelFile, error: Exception) -> str:
    import re

    text = _one_line(error)
    library = {"Keras 3": "keras", "Keras 2": "tf_keras"}.get(file.kind, "TensorFlow")
    if unknown := re.search(_UNKNOWN_CLASS, text):
        return _not_of_keras(file, unknown[1], library)
    return (
        f"{library} could not open '{file.path}' ({type(error).__name__}: {text[:300]}); save it again or see --debug"
    )
