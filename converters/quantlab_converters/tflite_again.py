"""The settings that litert-quantizer makes from a TFLite file of a user, which is the float32 setting itself."""

from collections.abc import Iterator
from pathlib import Path

from quantlab.formats.tflite import FORMAT
from quantlab.formats.tflite.signed import signature_of, write_signed
from quantlab.types import KEEPS_FLOAT
from quantlab_converters import tflite_litert_quantizer as litert_quantizer
from quantlab_converters.contract import ConversionRequest, RecipeRequest
from quantlab_converters.copied import copy_artifact, copy_recipe
from quantlab_converters.float_layers import plain_scheme
from quantlab_converters.new_folder import NEW_FOLDER_IMPORT, new_folder_line
from quantlab_converters.tflite_float import kept_taps

__all__ = ["quantize_file", "recipe_of_artifact", "with_signature"]


def quantize_file(request: ConversionRequest) -> Iterator[str]:
    """As `Converter.convert`."""
    for scheme, folder in request.schemes.items():
        yield scheme
        plain = plain_scheme(scheme)
        if plain == "float32":
            copy_artifact(FORMAT, request.source, folder)
            continue
        litert_quantizer.refuse_absent()
        kept = {} if plain == scheme else kept_taps(request.source, request.float_layers[scheme])
        file, key = with_signature(request.source, request.work / "signed.tflite")
        made = litert_quantizer.quantize(file, plain, request.calibration, kept, signature=key)
        (folder / "model.tflite").write_bytes(made)


def with_signature(source: Path, copy: Path) -> tuple[Path, str]:
    """A file with a signature, which calibration calls, and the key: the source, or else a copy with one added."""
    key = signature_of(source)
    if key is not None:
        return source, key
    if not copy.exists():
        write_signed(source, copy, litert_quantizer.SIGNATURE)
    return copy, litert_quantizer.SIGNATURE


def recipe_of_artifact(request: RecipeRequest) -> str:
    """A program that makes the setting from the file; see `Converter.recipe`."""
    scheme = plain_scheme(request.scheme)
    if scheme == "float32":
        return copy_recipe(FORMAT, request.setting, request.source)
    kept = request.float_layers if request.scheme.endswith(KEEPS_FLOAT) else ()
    signed = litert_quantizer.SCHEMES[scheme].calibrated and signature_of(request.source) is None
    key = litert_quantizer.SIGNATURE if signed else signature_of(request.source) or litert_quantizer.SIGNATURE
    return _PROGRAM.format(
        imports=_SIGNED_IMPORTS if signed else "import shutil\n",
        new_folder_import=NEW_FOLDER_IMPORT,
        new_folder=new_folder_line(request.setting),
        copy=(_SIGNED if signed else _COPIED).format(source=str(request.source), key=key),
        quantize=litert_quantizer.program_of(scheme, request.calibration, kept, signature=key),
    )


_COPIED = 'shutil.copyfile({source!r}, f"{{folder}}/float32.tflite")'
_SIGNED = 'write_signed(Path({source!r}), Path(folder, "float32.tflite"), {key!r})'
_SIGNED_IMPORTS = "from pathlib import Path\nfrom quantlab.formats.tflite.signed import write_signed\n"

_PROGRAM = """\
{imports}{new_folder_import}
import numpy as np

{new_folder}
{copy}
{quantize}"""
