"""The file of a shard's outputs: a line of JSON that tells what they are, and their bytes one behind the other."""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from quantlab.errors import StudyError
from quantlab.foreign import reading
from quantlab.runtimes.exchange import TensorFile
from quantlab.study.shards.task import Answer, Ran, answer_from

__all__ = [
    "copy_result",
    "hash_rows_of",
    "publish",
    "ran_from",
    "read_result",
    "remove_unfinished",
    "result_file",
    "row_bytes",
]

_READ_BYTES = 2**18
"""What was read is still in the cache of a core when it is hashed."""


def result_file(folder: Path, key: str) -> Path:
    """Where the result of a task lies."""
    return folder / f"{key}.outputs"


def row_bytes(file: TensorFile) -> int:
    """Bytes of one sample of a tensor."""
    from math import prod

    from numpy import dtype

    return prod(file.shape) * dtype(file.dtype).itemsize


def hash_rows_of(files: Sequence[TensorFile], start: int, stop: int) -> str:
    """SHA-256 of some samples of several tensors, one tensor behind the other."""
    digest = hashlib.sha256()
    for file in files:
        for block in _rows(file, start, stop):
            digest.update(block)
    return digest.hexdigest()


def _rows(file: TensorFile, start: int, stop: int) -> Iterator[bytes]:
    left = (stop - start) * row_bytes(file)
    with Path(file.file).open("rb") as values:
        values.seek(file.offset + start * row_bytes(file))
        while left and (block := values.read(min(left, _READ_BYTES))):
            left -= len(block)
            yield block


def publish(folder: Path, key: str, ran: Ran, outputs: Sequence[TensorFile], count: int) -> None:
    """Write a result whole, unless it exists: another worker may have ended with the same task.

    Raises:
        StudyError: If it cannot be written.
    """
    target = result_file(folder, key)
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{key}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(json.dumps(ran.document(), allow_nan=False).encode() + b"\n")
                for output in outputs:
                    file.writelines(_rows(output, 0, count))
            with contextlib.suppress(FileExistsError):
                os.link(name, target)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise StudyError(
            f"a shard's outputs cannot be written to '{folder}' ({error.strerror}); make room there, or choose another "
            f"--out"
        ) from error


def remove_unfinished(folder: Path, *, silent_seconds: float) -> None:
    """Remove results that workers began to write and did not finish.

    Args:
        folder: The folder of results; it may be missing.
        silent_seconds: Seconds for which nothing was written to them, by the clock of the file system; 0 for all.
    """
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as now:
        present = os.fstat(now.fileno()).st_mtime
        for file in folder.glob(".*"):
            with contextlib.suppress(FileNotFoundError):
                if not silent_seconds or present - file.stat().st_mtime >= silent_seconds:
                    file.unlink()


def read_result(folder: Path, key: str) -> Ran | None:
    """What a result says of itself; None if there is none that can be read."""
    result = result_file(folder, key)
    try:
        with reading(result, StudyError, "run it again"):
            if not result.exists():  # nearly always, before a task is sent
                return None
            with result.open("rb") as file:
                line = file.readline()
    except StudyError:
        return None
    return ran_from(line)


def ran_from(line: bytes) -> Ran | None:
    """What the first line of a result says; None if it cannot be read."""
    try:
        with reading("the first line of a result", StudyError, "run it again"):
            answer: Answer = answer_from(json.loads(line))
    except StudyError:
        return None
    return answer if isinstance(answer, Ran) else None


def copy_result(folder: Path, key: str, ran: Ran, outputs: Sequence[TensorFile], *, start: int, count: int) -> bool:
    """Copy a shard's outputs to their place among those of all samples.

    Args:
        folder: The folder of results.
        key: Name of the task.
        ran: What the result says of itself.
        outputs: The files of all samples.
        start: The first sample of the shard.
        count: Number of its samples.

    Returns:
        Whether the bytes are those that the worker wrote; if they are not, the result is removed.

    Raises:
        OSError: If a file cannot be read or written.
    """
    digest, whole = hashlib.sha256(), True
    with result_file(folder, key).open("rb") as result:
        result.readline()
        for output in outputs:
            left = count * row_bytes(output)
            with Path(output.file).open("r+b") as target:
                target.seek(output.offset + start * row_bytes(output))
                while left and (block := result.read(min(left, _READ_BYTES))):
                    digest.update(block)
                    target.write(block)
                    left -= len(block)
            whole &= not left
        whole &= not result.read(1)
    if whole and digest.hexdigest() == ran.sha256:
        return True
    result_file(folder, key).unlink(missing_ok=True)
    return False
