"""Reads outputs that another program wrote: `.npz`, `.npy` or `.jsonl`.

- `.npz`: an array for each output, by its name; a single array may have any name. About the samples: `__crc32__`, (n,)
  integers, `__samples_sha256__` and `__environment__`, a JSON object. Texts are strings, or their bytes in UTF-8.
- `.npy`: the array of the only output, and nothing about the samples.
- `.jsonl`: a line for each sample, `{"sample": 0, "crc32": …, "outputs": {name: values}}`. The first line may be
  `{"samples_sha256": …, "environment": {…}}`.

The samples are told by the hash of all, and the CRC-32 of each one that the program was fed.
"""

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.names import counted, listed
from quantlab.samples import array_of_npz, names_of_npz, packed_array
from quantlab.study.importing.arrays import Rows, rows_of_npy, rows_of_npz
from quantlab.study.importing.contents import Dump, facts_of, named_outputs, sizes_of
from quantlab.study.importing.lines import read_lines
from quantlab.types import TensorSpec

__all__ = ["ABOUT", "about_of", "read_dump"]

SAMPLES_SHA256, CRC32, ENVIRONMENT = "__samples_sha256__", "__crc32__", "__environment__"
"""Names of the arrays of a `.npz` file that are about the samples."""

_REMEDY = "let the program write it again"

ABOUT = frozenset({SAMPLES_SHA256, CRC32, ENVIRONMENT})

Array = npt.NDArray[Any]
Checksums = npt.NDArray[np.int64] | None


def read_dump(path: Path, outputs: Sequence[TensorSpec], n: int) -> Dump:
    """Read the outputs that another program wrote.

    Args:
        path: The file.
        outputs: The outputs of the model, with the shapes that were observed.
        n: Number of samples.

    Raises:
        SamplesError: If it is missing, damaged or of another kind, has none of the model's outputs, or another number
            or shape of outputs.
    """
    if not path.exists():
        raise SamplesError(f"there are no outputs '{path}'; give a .npz, .npy or .jsonl file")
    reader = None if path.is_dir() else _READERS.get(path.suffix.lower())
    if reader is None:
        raise SamplesError(f"'{path}' is no file of outputs; give a .npz, .npy or .jsonl file")
    with reading(path, SamplesError, _REMEDY):
        dump = reader(path, outputs, n)
        return Dump(
            {
                spec.name: _of_shape(path, dump.outputs[spec.name], spec, n)
                for spec in outputs
                if spec.name in dump.outputs
            },
            dump.samples_sha256,
            dump.crc32,
            dump.environment,
        )


def _read_npz(path: Path, outputs: Sequence[TensorSpec], n: int) -> Dump:
    del n
    held = names_of_npz(path, text=str(path))
    names = named_outputs(path, [name for name in held if name not in ABOUT], outputs)
    arrays = {output: rows_of_npz(packed_array(path, name, text=str(path))) for output, name in names.items()}
    return Dump(arrays, *about_of(held, lambda name: array_of_npz(path, name, text=str(path))))


def about_of(held: Collection[str], read: Callable[[str], Array]) -> tuple[str | None, Checksums, dict[str, str]]:
    """What arrays tell about samples and program: the hash of the samples, their checksums, and facts.

    Args:
        held: Names of the arrays.
        read: Reads one of them.

    Raises:
        ValueError: If one has another form.
    """
    texts = {name: _text_of(read(name)) for name in (SAMPLES_SHA256, ENVIRONMENT) if name in held}
    return (
        texts.get(SAMPLES_SHA256),
        _checksums(read(CRC32)) if CRC32 in held else None,
        facts_of(_json_of(texts[ENVIRONMENT])) if ENVIRONMENT in texts else {},
    )


def _text_of(array: Array) -> str:
    """A text that is stored as a string, or as its bytes in UTF-8."""
    return array.tobytes().decode() if array.dtype == np.uint8 else str(array)


def _json_of(environment: str) -> Any:
    try:
        return json.loads(environment)
    except json.JSONDecodeError as error:
        raise ValueError(f"its {ENVIRONMENT} is not JSON: {error.msg}") from error


def _read_npy(path: Path, outputs: Sequence[TensorSpec], n: int) -> Dump:
    del n
    if len(outputs) != 1:
        raise SamplesError(
            f"'{path}' holds one array, and the model has the outputs {listed([one.name for one in outputs])}; give a "
            f".npz file with an array for each output, by its name"
        )
    return Dump({outputs[0].name: rows_of_npy(path)})


def _of_shape(path: Path, values: Rows, spec: TensorSpec, n: int) -> Rows:
    """The values in the shape of the model's output; axes of size 1 may be missing or added."""
    if values.dtype.kind not in "biuf":
        raise SamplesError(
            f"'{path}' holds {'text' if values.dtype.kind in 'SU' else values.dtype.name} for the output "
            f"'{spec.name}'; write the numbers that the model gives"
        )
    if not values.shape or values.shape[0] != n:
        rows = values.shape[0] if values.shape else 1
        raise SamplesError(
            f"'{path}' has {counted(rows, 'row')} for the output '{spec.name}', and the study scored "
            f"{counted(n, 'sample')}; give one row for each sample that 'quantlab export inputs' wrote, in their order"
        )
    sizes = sizes_of(spec)
    if [size for size in values.shape[1:] if size != 1] != [size for size in sizes if size != 1]:
        raise SamplesError(
            f"'{path}' has outputs of shape {values.shape[1:]} for '{spec.name}', and the model gives {sizes}; write "
            f"the same output of the same model"
        )
    return values.reshaped(sizes)


def _checksums(values: Array) -> npt.NDArray[np.int64]:
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise ValueError(
            f"its checksums are {values.dtype.name} of shape {values.shape}, and not one integer per sample"
        )
    return values.astype(np.int64)


_READERS = {".npz": _read_npz, ".npy": _read_npy, ".jsonl": read_lines}
