"""TensorFlow.js graph-models: the official converter freezes the graph once; weights are then stored per setting.

The four settings differ only in weight files and manifest. Both are written by `tensorflowjs.write_weights`, which the
official converter calls too (tensorflowjs 4.22, tensorflowjs/write_weights.py and quantization.py), from the float32
weights of its graph conversion. A test compares the bytes with those of the official converter.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from quantlab.errors import ConversionError
from quantlab.formats.tfjs import FORMAT
from quantlab.formats.tfjs_float import write_float
from quantlab.models.training import why_not_frozen
from quantlab.types import KEEPS_FLOAT, TUNED
from quantlab_converters.contract import ConversionRequest, Converter, FromArtifact, RecipeRequest
from quantlab_converters.copied import copy_artifact
from quantlab_converters.float_layers import kept_weights, list_parts, plain_scheme
from quantlab_converters.new_folder import NEW_FOLDER_IMPORT, into_new_folder, new_folder_line
from quantlab_converters.tfjs_again import recipe_of_artifact
from quantlab_converters.tfjs_loops import may_have_loops, repair_loops
from quantlab_converters.tfjs_per_channel import PER_CHANNEL, write_per_channel
from quantlab_converters.tfjs_tuned import write_tuned
from quantlab_converters.tfjs_weights import refuse_unquantizable, stored_as, words_of_the_converter

__all__ = ["CONVERTER", "convert", "store_again"]


def convert(request: ConversionRequest) -> Iterator[str]:
    """See `Converter.convert`."""
    yield next(iter(request.schemes))  # a failure to freeze is attributed to the first scheme
    float32 = _float32(request)
    for scheme, folder in request.schemes.items():
        yield scheme
        if scheme == TUNED:
            if request.tuned is None:
                raise ConversionError("nothing was decided about the weights; run 'quantlab tune'")
            write_tuned(float32, folder, request.tuned)
        elif scheme != "float32":
            store_again(float32, folder, scheme, request.float_layers.get(scheme, ()))


def _float32(request: ConversionRequest) -> Path:
    """The folder of the float32 graph-model, which is also the artifact of its setting if that is asked for."""
    asked = request.schemes.get("float32")
    if request.format is None:
        folder = asked or request.work / "float32"
        _freeze(request, folder)
        return folder
    if asked is not None:
        copy_artifact(FORMAT, request.source, asked)
    folder = request.work / "float32"
    write_float(request.source, folder)
    return folder


def _freeze(request: ConversionRequest, folder: Path) -> None:
    """Freeze and optimize the graph like `tensorflowjs_converter --input_format=tf_saved_model`."""
    from tensorflowjs.converters import tf_saved_model_conversion_v2

    try:
        tf_saved_model_conversion_v2.convert_tf_saved_model(
            str(request.source), str(folder), signature_def=request.signature
        )
    except ValueError as error:
        if unsupported := re.match(r"Unsupported Ops in the model (?:before|after) optimization\s+(.*)", str(error)):
            gelu = " (the exact GELU: gelu with approximate=True)" if "Erfc" in unsupported[1] else ""
            raise ConversionError(
                f"tfjs does not support the op {unsupported[1]}; replace the layer that uses it{gelu}, or leave the "
                f"tfjs settings out"
            ) from error
        if stored := re.match(r"Error dumping weight (\S+), dtype (\w+) not supported", str(error)):
            raise ConversionError(
                f"tfjs does not store weights in {stored[2]}, and '{stored[1]}' is one; export the model in float32, "
                f"as quantlab does with a Keras file"
            ) from error
        raise
    except AssertionError as error:
        # The converter tries to freeze the graph in two ways. Only the first suits a SavedModel of TensorFlow 2, and
        # the error of the second hides why the first one failed.
        if error.__context__ is None:
            raise
        raise ConversionError(_why_not_frozen(error.__context__)) from error
    repair_loops(folder / "model.json")
    _sort_attributes(folder / "model.json")


def _why_not_frozen(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if known := why_not_frozen(error):
        return (
            f"tfjs cannot freeze the graph, because {known}; build the model without that, or leave the tfjs settings "
            f"out"
        )
    return (
        f"tfjs cannot freeze the graph ({type(error).__name__}: {text[:200]}); if it has lookup tables for text, "
        f"export the part after them, and otherwise leave the tfjs settings out"
    )


def _sort_attributes(model_json: Path) -> None:
    """Sort the keys of the topology, whose order varies because they come from a protobuf map.

    The meaning is unchanged, and the same model then gives the same file and hash. The order of signatures is kept,
    because tfjs uses it as the order of the model's inputs.
    """
    document = json.loads(model_json.read_text())
    document["modelTopology"] = json.loads(json.dumps(document["modelTopology"], sort_keys=True))
    model_json.write_text(json.dumps(document))


def store_again(float32: Path, folder: Path, scheme: str, float_layers: Sequence[str] = ()) -> None:
    """Write a graph-model with the weights of a float32 one, stored as a scheme says.

    Args:
        float32: The folder of the float32 graph-model.
        folder: The folder to write into.
        scheme: `uint8`, `uint8+float` and so on.
        float_layers: What stays in float; see `FloatLayer`.

    Raises:
        ConversionError: If a weight cannot be stored, or a layer is not there.
    """
    kept, plain = kept_weights(FORMAT, float32, float_layers), plain_scheme(scheme)
    if plain == PER_CHANNEL:
        write_per_channel(float32, folder, kept)
    else:
        _store(float32, folder, plain, kept)


def _store(float32: Path, folder: Path, scheme: str, kept: Mapping[str, str]) -> None:
    from tensorflowjs import read_weights, write_weights

    document = json.loads((float32 / "model.json").read_text())
    groups = read_weights.read_weights(document["weightsManifest"], str(float32))
    for group in groups:
        for entry in group:
            if entry["name"] not in kept:
                refuse_unquantizable(entry["name"], entry["data"], scheme)
    names = [entry["name"] for group in groups for entry in group]
    document["weightsManifest"] = write_weights.write_weights(
        groups, str(folder), write_manifest=False, quantization_dtype_map=stored_as(scheme, names, kept)
    )
    (folder / "model.json").write_text(json.dumps(document, allow_nan=False))


def _recipe(request: RecipeRequest) -> str:
    """One line for a shell, or a program for what no official command makes.

    With oneDNN, TensorFlow's optimizer would create ops that the converter refuses. Of a model with loops it ends with
    the changes of `quantlab_converters.tfjs_loops`.
    """
    if request.format is not None:
        return recipe_of_artifact(request)
    if plain_scheme(request.scheme) == PER_CHANNEL or request.scheme.endswith(KEEPS_FLOAT):
        return _PROGRAM.format(
            new_folder_import=NEW_FOLDER_IMPORT,
            new_folder=new_folder_line(request.setting),
            saved_model=str(request.source),
            signature=request.signature,
            scheme=request.scheme,
            float_layers=list(request.float_layers),
        )
    words = ["tensorflowjs_converter", "--input_format=tf_saved_model"]
    if request.signature != "serving_default":
        words.append(f"--signature_name={request.signature}")
    if request.scheme != "float32":
        words.append(f"--quantize_{request.scheme}=*")
    then = "python -m quantlab_converters.tfjs_loops" if may_have_loops(request.source) else None
    command = f"TF_ENABLE_ONEDNN_OPTS=0 {shlex.join([*words, str(request.source)])}"
    return into_new_folder(request.setting, command, then=then)


_PROGRAM = """\
# No official command makes this setting: quantlab stores the weights of the official float32 graph-model.
import os
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
{new_folder_import}
from pathlib import Path
from tensorflowjs.converters import tf_saved_model_conversion_v2
from quantlab_converters.tfjs import store_again
from quantlab_converters.tfjs_loops import repair_loops

{new_folder}
with tempfile.TemporaryDirectory() as float32:
    tf_saved_model_conversion_v2.convert_tf_saved_model({saved_model!r}, float32, signature_def={signature!r})
    repair_loops(Path(float32, "model.json"))
    store_again(Path(float32), Path(folder), {scheme!r}, {float_layers!r})
print(folder)
"""

_STORED = ("float16", "uint8", "uint16")
"""The schemes of the official converter that store weights in less."""

CONVERTER = Converter(
    convert="quantlab_converters.tfjs:convert",
    packages=("tensorflow", "tensorflowjs"),
    recipe=_recipe,
    parts=partial(list_parts, FORMAT),
    words=partial(words_of_the_converter, FORMAT),
    tunable="quantlab_converters.tfjs_tuning:TunableGraph.open",
    more_packages=dict.fromkeys((PER_CHANNEL, TUNED), ("quantlab",)),
    from_artifact={
        "graph-model": FromArtifact(("float32", *_STORED, PER_CHANNEL), asked=(TUNED,)),
        "layers-model": FromArtifact(("float32", *_STORED, PER_CHANNEL), asked=(TUNED,)),
    },
)
