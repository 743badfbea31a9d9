"""Reads outputs that are a JSON object in each line, into a temporary file, so that they need not fit into memory."""

import json
import math
import tempfile
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import SamplesError
from quantlab.names import counted, excerpt, listed
from quantlab.study.importing.arrays import Rows
from quantlab.study.importing.contents import Dump, facts_of, named_outputs, sizes_of, text_of
from quantlab.types import TensorSpec

__all__ = ["read_lines"]

_STRINGS = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}
_BLOCK_BYTES = 4 << 20


def read_lines(path: Path, outputs: Sequence[TensorSpec], n: int) -> Dump:
    """Read a `.jsonl` file.

    Raises:
        SamplesError: If a line is wrong, or a sample has none.
        ValueError: If a value is no number.
    """
    kept: dict[str, _Kept] = {}
    seen, told, crc32 = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, np.int64)
    about: Mapping[str, Any] = {}
    for number, line in _lines(path):
        if number == 1 and "sample" not in line:
            about = line
            continue
        sample = _sample_of(path, number, line, seen)
        given = _outputs_of(path, number, line, outputs)
        if not seen.any():
            kept = {spec.name: _Kept(sizes_of(spec), n) for spec in outputs if spec.name in given}
        _refuse_other_outputs(path, number, given, kept)
        seen[sample], told[sample], crc32[sample] = True, "crc32" in line, line.get("crc32", 0)
        for output, nested in given.items():
            flat = np.array(nested, dtype=object).ravel().tolist()
            values = _of_line(path, number, output, flat, kept[output].sizes)
            kept[output].put(sample, values, whole=_types(flat) <= {int})
    _refuse_missing(path, seen)
    _refuse_untold(path, told)
    return Dump(
        {name: one.rows() for name, one in kept.items()},
        text_of(about.get("samples_sha256")),
        crc32 if told.any() else None,
        facts_of(about.get("environment")),
    )


@dataclass(slots=True, weakref_slot=True)
class _Kept:
    """The values of one output, in a file without a name that ends with this object."""

    sizes: tuple[int, ...]
    n: int
    whole: bool = True
    """Whether all values are integers, which may be codes."""
    file: IO[bytes] = field(default_factory=lambda: tempfile.TemporaryFile(prefix="quantlab-"))  # noqa: SIM115 (kept)

    def __post_init__(self) -> None:
        weakref.finalize(self, self.file.close)

    @property
    def row_bytes(self) -> int:
        return 8 * math.prod(self.sizes)

    def put(self, sample: int, values: npt.NDArray[np.float64], *, whole: bool) -> None:
        self.file.seek(sample * self.row_bytes)
        self.file.write(values.tobytes())
        self.whole = self.whole and whole

    def rows(self) -> Rows:
        dtype = np.dtype(np.int64 if self.whole else np.float64)
        step = max(1, _BLOCK_BYTES // max(1, self.row_bytes))

        def blocks() -> Iterator[npt.NDArray[Any]]:
            for start in range(0, self.n, step):
                count = min(step, self.n - start)
                self.file.seek(start * self.row_bytes)
                read = np.frombuffer(self.file.read(count * self.row_bytes), np.float64)
                yield read.reshape(count, *self.sizes).astype(dtype)

        return Rows((self.n, *self.sizes), dtype, blocks)


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


def _of_line(
    path: Path, number: int, output: str, flat: Sequence[Any], shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """The numbers of one line for one output, in the shape of one sample."""
    values = _numbers(flat)
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
    return {output: given[name] for output, name in named_outputs(path, list(given), outputs).items()}


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


def _numbers(flat: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Numbers; NaN and infinities may be strings, because JSON has none."""
    if _types(flat) <= {int, float}:  # nearly always; to look at each value takes as long as parsing
        return np.array(flat, np.float64)
    if any(value is None for value in flat):
        raise ValueError(
            'it holds null, which JavaScript writes for NaN and infinity; write them as "NaN" and "Infinity"'
        )
    wrong = [value for value in flat if not isinstance(value, int | float) and value not in _STRINGS]
    if wrong:
        raise ValueError(f"it holds {excerpt(json.dumps(wrong[0]))} where a number is expected")
    return np.array([_STRINGS[value] if isinstance(value, str) else float(value) for value in flat], np.float64)


def _types(flat: Sequence[Any]) -> set[type]:
    """The types of values; integers alone, of which bool is none, may be codes."""
    return set(map(type, flat))
