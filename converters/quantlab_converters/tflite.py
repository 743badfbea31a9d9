"""TFLite files, made by `tf.lite.TFLiteConverter` from the SavedModel with a fixed batch size of 1.

LiteRT.js refuses files with an open batch size, and phones run one sample at a time. The signature is therefore wrapped
in a function with batch size 1, which is saved and converted. (Converting concrete functions of a Keras 3 model
directly leaves variables unset, and the converter silently writes NaN; from a SavedModel this does not happen.) Loops
need more than that, see `quantlab_converters.tflite_loops`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.errors import ConversionError
from quantlab.formats.tflite import FORMAT
from quantlab.types import KEEPS_FLOAT
from quantlab_converters import tflite_litert_quantizer as litert_quantizer
from quantlab_converters.contract import ConversionRequest, Converter, FromArtifact, RecipeRequest
from quantlab_converters.float_layers import list_parts, plain_scheme
from quantlab_converters.new_folder import NEW_FOLDER_IMPORT, new_folder_line
from quantlab_converters.tflite_again import quantize_file, recipe_of_artifact
from quantlab_converters.tflite_float import half_way, keep, kept_taps, words_of_the_debugger
from quantlab_converters.tflite_loops import close_lists, has_lists, has_loop

__all__ = ["CONVERTER", "convert"]


def convert(request: ConversionRequest) -> Iterator[str]:
    """See `Converter.convert`."""
    if request.format is not None:
        yield from quantize_file(request)
        return
    saved_model = request.work / "batch-1"
    for scheme, folder in request.schemes.items():
        yield scheme
        if plain_scheme(scheme) in litert_quantizer.SCHEMES:
            litert_quantizer.refuse_absent()
        if not saved_model.exists():
            _close_batch(request, saved_model)
        if plain_scheme(scheme) in _CALIBRATED:
            _refuse_loops(saved_model, request)
        (folder / "model.tflite").write_bytes(_made(saved_model, scheme, request))


def _made(saved_model: Path, scheme: str, request: ConversionRequest) -> bytes:
    plain = plain_scheme(scheme)
    if plain in litert_quantizer.SCHEMES:
        float32 = _float32_file(saved_model, request)
        kept = {} if plain == scheme else kept_taps(float32, request.float_layers[scheme])
        return litert_quantizer.quantize(float32, plain, request.calibration, kept)
    if plain == scheme:
        return _converted(saved_model, scheme, request)
    if plain == "int16x8":
        raise ConversionError(
            "TFLite's converter has no list of ops that it leaves out when activations are int16; leave "
            "tflite-int16x8 out, or --float-layers"
        )
    float32 = _float32_file(saved_model, request)
    kept = kept_taps(float32, request.float_layers[scheme])
    begun = request.work / f"{plain}.half-way"
    if not begun.exists():
        begun.write_bytes(_converted(saved_model, plain, request, half_way))
    return keep(begun.read_bytes(), float32, kept, static=plain in _CALIBRATED)


def _float32_file(saved_model: Path, request: ConversionRequest) -> Path:
    """The float32 file, converted when it is first needed; the setting `tflite-float32` has the same bytes."""
    file = request.work / "float32.tflite"
    if not file.exists():
        file.write_bytes(_converted(saved_model, "float32", request))
    return file


def _close_batch(request: ConversionRequest, folder: Path) -> None:
    """Save the model again with one signature of the same names, for a batch size of 1."""
    import tensorflow as tf

    module = tf.Module()
    module.model = tf.saved_model.load(str(close_lists(request.source, request.work / "closed-lists")))
    signature = module.model.signatures[request.signature]
    specs = {
        name: tf.TensorSpec(_closed_shape(name, spec.shape.as_list(), request), spec.dtype, name=name)
        for name, spec in signature.structured_input_signature[1].items()
    }

    def call(**inputs: Any) -> Any:
        return signature(**inputs)

    module.call = tf.function(call)
    function = module.call.get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})


def _closed_shape(name: str, shape: list[int | None], request: ConversionRequest) -> list[int | None]:
    sample = request.sample_shapes.get(name, shape[1:])
    if None in sample:
        raise ConversionError(
            f"the input '{name}' has the open shape {tuple(shape)}, and a TFLite file needs fixed sizes; "
            f"give samples, which determine them: --data for analyze, --calibration for convert"
        )
    return [1, *sample]


def _refuse_loops(saved_model: Path, request: ConversionRequest) -> None:
    """Refuse models that the converter would not survive: calibration of TensorFlow 2.19 crashes in a loop.

    Only the converted file tells: the converter fuses loops of Keras 2's LSTM into one op.
    """
    if not has_lists(request.source):
        return
    if has_loop(_float32_file(saved_model, request)):
        raise ConversionError(
            "the calibration of TFLite's converter crashes on a file with a loop (the op WHILE), and recurrent layers "
            "are loops; use tflite-dynamic, or, for short sequences, build these layers with unroll=True"
        )


def _converted(
    saved_model: Path,
    scheme: str,
    request: ConversionRequest,
    convert: Callable[[Any], bytes] = lambda converter: bytes(converter.convert()),
) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    _SCHEMES[scheme](tf, converter, request.calibration)
    try:
        return convert(converter)
    except Exception as error:
        raise _explained(error) from error


def _explained(error: Exception) -> Exception:
    """Summarize the converter's long MLIR message if the cause is an unsupported op."""
    text = str(error)
    listed = re.findall(r"(?:Custom ops|Flex ops|TF Select ops): ([\w, ]+)", text) or re.findall(
        r"'tf\.(\w+)' op ", text
    )
    ops = {op for part in listed for op in part.split(", ")}
    if not ops:
        return ConversionError(f"TFLite's converter failed: {_last_of(text)}")
    half = dict(re.findall(r"tf\.(\w+)\(tensor<[^)]*?(b?f16)>", text))
    if ops <= set(half):
        return ConversionError(
            f"TFLite computes {', '.join(sorted(ops))} in float32 only, and the model in half floats "
            f"({', '.join(sorted(set(half.values())))}); export it in float32, as quantlab does with a Keras file"
        )
    return ConversionError(
        f"TFLite does not support the op {', '.join(sorted(ops - set(half)))}; replace the layer that uses it, or "
        f"leave the tflite settings out"
    )


def _last_of(text: str) -> str:
    """What the last error in the converter's message says, without the places in the graph where it arose."""
    errors = [line for line in text.splitlines() if "error: " in line]
    last = errors[-1] if errors else text
    return " ".join(re.sub(r".*error: (?:loc\(.*\): )?", "", last).split())[:300]


def _float32(tf: Any, converter: Any, calibration: Mapping[str, Path]) -> None:
    del tf, converter, calibration  # float32 is the converter's default


def _float16(tf: Any, converter: Any, calibration: Mapping[str, Path]) -> None:
    del calibration
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic(tf: Any, converter: Any, calibration: Mapping[str, Path]) -> None:
    del calibration
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _int8(tf: Any, converter: Any, calibration: Mapping[str, Path]) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _representative(calibration)


def _int16x8(tf: Any, converter: Any, calibration: Mapping[str, Path]) -> None:
    _int8(tf, converter, calibration)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,  # ops without an int16 kernel stay in float
    ]


def _representative(calibration: Mapping[str, Path]) -> Callable[[], Iterator[dict[str, Any]]]:
    if not calibration:
        raise ConversionError(
            "static quantization needs calibration samples, and none were given; give some with --calibration"
        )
    arrays = {name: np.load(path, mmap_mode="r") for name, path in calibration.items()}
    count = len(next(iter(arrays.values())))

    def samples() -> Iterator[dict[str, Any]]:
        for index in range(count):
            yield {name: np.array(array[index : index + 1]) for name, array in arrays.items()}

    return samples


_SCHEMES: Mapping[str, Callable[[Any, Any, Mapping[str, Path]], None]] = {
    "float32": _float32,
    "float16": _float16,
    "dynamic": _dynamic,
    "int8": _int8,
    "int16x8": _int16x8,
}

_CALIBRATED = frozenset({"int8", "int16x8"})


def _recipe(request: RecipeRequest) -> str:
    """A Python program with the steps of `_close_batch` and `_converted`."""
    if request.format is not None:
        return recipe_of_artifact(request)
    specs = ", ".join(
        f"{name!r}: tf.TensorSpec({[1, *shape]}, inputs[{name!r}].dtype, name={name!r})"
        for name, shape in request.input_shapes.items()
    )
    imports, source = NEW_FOLDER_IMPORT, repr(str(request.source))
    if has_lists(request.source):
        imports = f"{_LOOPS_IMPORTS}\n{NEW_FOLDER_IMPORT}"
        source = f"str(close_lists(Path({source}), Path(folder, 'closed-lists')))"
    if request.scheme.endswith(KEEPS_FLOAT) and plain_scheme(request.scheme) not in litert_quantizer.SCHEMES:
        imports = f"{_KEPT_IMPORTS}\n{imports}"
    return _PROGRAM.format(
        imports=imports,
        new_folder=new_folder_line(request.setting),
        source=source,
        signature=request.signature,
        specs=specs,
        convert=_convert_lines(request),
    )


def _convert_lines(request: RecipeRequest) -> str:
    scheme = plain_scheme(request.scheme)
    if scheme in litert_quantizer.SCHEMES:
        lines = _CONVERT.format(scheme="", file="float32", written=_WRITTEN)
        return lines + litert_quantizer.program_of(scheme, request.calibration, request.float_layers)
    kept = request.scheme.endswith(KEEPS_FLOAT)
    written = _KEPT.format(float_layers=list(request.float_layers)) if kept else _WRITTEN
    return _CONVERT.format(scheme=_lines_of(request), file="model", written=written) + "print(file.name)\n"


def _lines_of(request: RecipeRequest) -> str:
    scheme = plain_scheme(request.scheme)
    lines = [] if scheme == "float32" else ["converter.optimizations = [tf.lite.Optimize.DEFAULT]"]
    if scheme == "float16":
        lines.append("converter.target_spec.supported_types = [tf.float16]")
    if request.calibration:
        files = ", ".join(f"{name!r}: np.load({str(path)!r})" for name, path in request.calibration.items())
        lines += [
            f"samples = {{{files}}}",
            "count = len(next(iter(samples.values())))",
            "converter.representative_dataset = lambda: (",
            "    {name: array[i : i + 1] for name, array in samples.items()} for i in range(count)",
            ")",
        ]
    if scheme == "int16x8":
        lines += [
            "converter.target_spec.supported_ops = [",
            "    tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,",
            "    tf.lite.OpsSet.TFLITE_BUILTINS,",
            "]",
        ]
    return "".join(f"{line}\n" for line in lines)


_LOOPS_IMPORTS = "from pathlib import Path\nfrom quantlab_converters.tflite_loops import close_lists"

_KEPT_IMPORTS = "from pathlib import Path\nfrom quantlab_converters.tflite_float import kept_taps, quantized_file"

_WRITTEN = "    file.write(converter.convert())\n"
_KEPT = """\
    float32 = Path(folder, "float32.tflite")
    float32.write_bytes(tf.lite.TFLiteConverter.from_saved_model(f"{{folder}}/batch-1").convert())
    file.write(quantized_file(converter, float32, kept_taps(float32, {float_layers})))
"""

_PROGRAM = """\
import os
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
{imports}
import numpy as np
import tensorflow as tf

{new_folder}
module = tf.Module()
module.model = tf.saved_model.load({source})
signature = module.model.signatures[{signature!r}]
inputs = signature.structured_input_signature[1]
module.call = tf.function(lambda **inputs: signature(**inputs))
call = module.call.get_concrete_function(**{{{specs}}})
tf.saved_model.save(module, f"{{folder}}/batch-1", signatures={{"serving_default": call}})

{convert}"""

_CONVERT = """\
converter = tf.lite.TFLiteConverter.from_saved_model(f"{{folder}}/batch-1")
{scheme}with open(f"{{folder}}/{file}.tflite", "wb") as file:
{written}"""


def _words(float32: Path, scheme: str, taps: Sequence[str]) -> str | None:
    """See `Converter.words`."""
    if scheme in litert_quantizer.SCHEMES:
        return litert_quantizer.words_of_the_recipe(taps)
    return words_of_the_debugger(float32, scheme, taps)


_USUAL = tuple(scheme for scheme in litert_quantizer.SCHEMES if not scheme.endswith("ai16"))
"""The schemes of litert-quantizer without those of 16-bit activations, which only slow reference kernels compute."""

CONVERTER = Converter(
    convert="quantlab_converters.tflite:convert",
    packages=("tensorflow",),
    recipe=_recipe,
    parts=partial(list_parts, FORMAT),
    words=_words,
    more_packages=dict.fromkeys(litert_quantizer.SCHEMES, (litert_quantizer.PACKAGE,)),
    from_artifact={
        "TFLite": FromArtifact(("float32", *_USUAL), asked=tuple(litert_quantizer.SCHEMES)),
        "layers-model": FromArtifact((), asked=(*_SCHEMES, *litert_quantizer.SCHEMES)),
    },
)
