"""Reads outputs that another program wrote: `.npz`, `.npy` or `.jsonl`.

- `.npz`: an array for each output, by its name; a single array may have any name. About the samples: `__crc32__`, (n,)
  integers, `__samples_sha256__` and `__environment__`, a JSON object. Texts are strings, or their bytes in UTF-8.
- `.npy`: the array of the only output, and nothing about the samples.
- `.jsonl`: a line for each sample, `{"sample": 0, "crc32": …, "outputs": {name: values}}`. The first line may be
  `{"samples_sha256": …, "environment": {…}}`.

The samples are told by the hash of all, and the CRC-32 of each one that the program was fed.
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import SamplesError
from quantlab.foreign import reading
from quantlab.names import counted, excerpt, listed
from quantlab.npy import mapped
from quantlab.samples import array_of_npz, names_of_npz
from quantlab.types import TensorSpec

__all__ = ["Dump", "read_dump"]

SAMPLES_SHA256, CRC32, ENVIRONMENT = "__samples_sha256__", "__crc32__", "__environment__"
"""Names of the arrays of a `.npz` file that are about the samples."""

_REMEDY = "let the program write it again"
_STRINGS = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
_MOST_FACTS = 50
"""Most facts that a program tells of itself; further ones are ignored."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Dump:
    """The outputs of a program, and what it tells about its samples and itself."""

    outputs: Mapping[str, Array]
    """Output of the model → (n, …), in the order of the samples."""
    samples_sha256: str | None = None
    crc32: npt.NDArray[np.int64] | None = None
    """(n,): CRC-32 of the bytes of each sample that the program was fed, all inputs in their order."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Versions, device and flags, as the program tells them."""


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
            dict(list(dump.environment.items())[:_MOST_FACTS]),
        )


def _read_npz(path: Path, outputs: Sequence[TensorSpec], n: int) -> Dump:
    del n
    about = {SAMPLES_SHA256, CRC32, ENVIRONMENT}
    held = names_of_npz(path, text=str(path))
    names = _named(path, [name for name in held if name not in about], outputs)
    texts = {name: _text_of(array_of_npz(path, name, text=str(path))) for name in about - {CRC32} if name in held}
    return Dump(
        {output: array_of_npz(path, name, text=str(path)) for output, name in names.items()},
        texts.get(SAMPLES_SHA256),
        _checksums(array_of_npz(path, CRC32, text=str(path))) if CRC32 in held else None,
        _facts(_json_of(texts[ENVIRONMENT])) if ENVIRONMENT in texts else {},
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
    return Dump({outputs[0].name: mapped(path)})


def _read_lines(path: Path, outputs: Sequence[TensorSpec], n: int) -> Dump:
    values: dict[str, Array] = {}
    seen, told, crc32 = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, np.int64)
    about: Mapping[str, Any] = {}
    whole: set[str] = set()
    for number, line in _lines(path):
        if number == 1 and "sample" not in line:
            about = line
            continue
        sample = _sample_of(path, number, line, seen)
        given = _outputs_of(path, number, line, outputs)
        if not seen.any():
            values = {spec.name: np.zeros((n, *_sizes(spec)), np.float64) for spec in outputs if spec.name in given}
            whole = set(values)
        _refuse_other_outputs(path, number, given, values)
        seen[sample], told[sample], crc32[sample] = True, "crc32" in line, line.get("crc32", 0)
        for output, nested in given.items():
            values[output][sample] = _of_line(path, number, output, nested, values[output].shape[1:])
            if output in whole and not _whole(nested):
                whole.remove(output)
    _refuse_missing(path, seen)
    _refuse_untold(path, told)
    return Dump(
        {name: array.astype(np.int64) if name in whole else array for name, array in values.items()},
        _text(about.get("samples_sha256")),
        crc32 if told.any() else None,
        _facts(about.get("environment")),
    )


def _sample_of(path: Path, number: int, line: Mapping[str, Any], seen: npt.NDArray[np.bool_]) -> int:
    """The sample that a line is about, which no line before it is about."""
    remedy = f"write one line for each sample, from 0 to {len(seen) - 1:,}"
    if "sample" not in line:
        raise SamplesError(f"line {number} of '{path}' does not say its \"sample\"; {remedy}")
    sample = line["sample"]
    if isinstance(sample, int) and not isinstance(sample, bool) and 0 <= sample < len(seen):
        if not seen[sample]:
            return sample
        raise SamplesError(f"line {number} of '{path}' is about sample {sample}, as a line before it; {remedy}")
    raise SamplesError(f"line {number} of '{path}' is about sample {excerpt(json.dumps(sample))}; {remedy}")


def _of_line(path: Path, number: int, output: str, given: Any, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """The numbers of one line for one output, in the shape of one sample."""
    values = _numbers(given)
    size = math.prod(shape)
    if values.size != size:
        raise SamplesError(
            f"line {number} of '{path}' has {counted(values.size, 'number')} for the output '{output}', and the model "
            f"gives {size:,}; write the same output of the same model"
        )
    return values.reshape(shape)


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number from 1, and the object, of each line that is not empty."""
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate((text for text in file if text.strip()), 1):
            try:
                line = json.loads(text)
            except json.JSONDecodeError as error:
                raise SamplesError(
                    f"line {number} of '{path}' is not JSON ({error.msg}); write one JSON object per line"
                ) from error
            if not isinstance(line, dict):
                raise SamplesError(f"line {number} of '{path}' is no JSON object; write one object for each sample")
            yield number, line


def _outputs_of(path: Path, number: int, line: Mapping[str, Any], outputs: Sequence[TensorSpec]) -> dict[str, Any]:
    """Output of the model → nested values, of one line; a single output may stand under `output` without its name."""
    given = line.get("outputs", {"output": line["output"]} if "output" in line else None)
    if not isinstance(given, dict) or not given:
        raise SamplesError(
            f"line {number} of '{path}' has no outputs; write them as "
            f'{{"sample": 0, "outputs": {{"{outputs[0].name}": […]}}}}'
        )
    return {output: given[name] for output, name in _named(path, list(given), outputs).items()}


def _refuse_missing(path: Path, seen: npt.NDArray[np.bool_]) -> None:
    missing = np.flatnonzero(~seen)
    if missing.size:
        raise SamplesError(
            f"'{path}' has no outputs for {counted(len(missing), 'sample')} of {len(seen):,}, the first of which is "
            f"sample {missing[0]:,}; write one line for each sample"
        )


def _refuse_other_outputs(path: Path, number: int, given: Collection[str], known: Collection[str]) -> None:
    """Refuse a line with other outputs than the first, because a row of an array would have no values."""
    if set(given) != set(known):
        raise SamplesError(
            f"line {number} of '{path}' has the outputs {listed([*given])}, and a line before it {listed([*known])}; "
            f"write the same outputs for each sample"
        )


def _refuse_untold(path: Path, told: npt.NDArray[np.bool_]) -> None:
    """Refuse checksums of some samples alone: the order of the others would not be checked."""
    missing = np.flatnonzero(~told)
    if missing.size and told.any():
        raise SamplesError(
            f"'{path}' has no checksum for {counted(len(missing), 'sample')} of {len(told):,}, the first of which is "
            f'sample {missing[0]:,}; write "crc32" in each line or in none'
        )


def _numbers(values: Any) -> npt.NDArray[np.float64]:
    """Nested lists of numbers; NaN and infinities may be strings, because JSON has none."""
    flat = np.array(values, dtype=object).ravel()
    if any(value is None for value in flat):
        raise ValueError(
            'it holds null, which JavaScript writes for NaN and infinity; write them as "NaN" and "Infinity"'
        )
    wrong = [value for value in flat if not isinstance(value, int | float) and value not in _STRINGS]
    if wrong:
        raise ValueError(f"it holds {excerpt(json.dumps(wrong[0]))} where a number is expected")
    return np.array([_STRINGS[value] if isinstance(value, str) else float(value) for value in flat], np.float64)


def _whole(values: Any) -> bool:
    """Whether nested lists hold integers alone, which may be codes."""
    if isinstance(values, list):
        return all(map(_whole, values))
    return isinstance(values, int) and not isinstance(values, bool)


def _named(path: Path, held: Sequence[str], outputs: Sequence[TensorSpec]) -> dict[str, str]:
    """Output of the model → name in the file, of those that the file has."""
    names = {spec.name: spec.name for spec in outputs if spec.name in held}
    if not names and len(held) == 1 and len(outputs) == 1:
        return {outputs[0].name: held[0]}
    if not names:
        found = f"the arrays {listed(held)}" if held else "no arrays"
        raise SamplesError(
            f"'{path}' has {found}, and none for {_outputs_words(outputs)}; name the arrays after the outputs of the "
            f"model"
        )
    return names


def _outputs_words(outputs: Sequence[TensorSpec]) -> str:
    names = listed([spec.name for spec in outputs])
    return f"the output {names}" if len(outputs) == 1 else f"the outputs {names}"


def _of_shape(path: Path, values: Array, spec: TensorSpec, n: int) -> Array:
    """The values in the shape of the model's output; axes of size 1 may be missing or added."""
    if values.dtype.kind not in "biuf":
        raise SamplesError(
            f"'{path}' holds {'text' if values.dtype.kind in 'SU' else values.dtype.name} for the output "
            f"'{spec.name}'; write the numbers that the model gives"
        )
    if values.ndim == 0 or len(values) != n:
        rows = len(values) if values.ndim else 1
        raise SamplesError(
            f"'{path}' has {counted(rows, 'row')} for the output '{spec.name}', and the study scored "
            f"{counted(n, 'sample')}; give one row for each sample that 'quantlab export inputs' wrote, in their order"
        )
    sizes = _sizes(spec)
    if [size for size in values.shape[1:] if size != 1] != [size for size in sizes if size != 1]:
        raise SamplesError(
            f"'{path}' has outputs of shape {values.shape[1:]} for '{spec.name}', and the model gives {sizes}; write "
            f"the same output of the same model"
        )
    return values.reshape(n, *sizes)


def _sizes(spec: TensorSpec) -> tuple[int, ...]:
    """Shape of one sample's output."""
    return tuple(size or 0 for size in spec.shape[1:])


def _checksums(values: Array) -> npt.NDArray[np.int64]:
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise ValueError(
            f"its checksums are {values.dtype.name} of shape {values.shape}, and not one integer per sample"
        )
    return values.astype(np.int64)


def _facts(environment: Any) -> dict[str, str]:
    """What a program tells of itself, as text."""
    if environment is None:
        return {}
    if not isinstance(environment, dict):
        raise ValueError("its environment is no JSON object")
    return {excerpt(str(name)): excerpt(str(value), most=200) for name, value in environment.items()}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


_READERS = {".npz": _read_npz, ".npy": _read_npy, ".jsonl": _read_lines}
