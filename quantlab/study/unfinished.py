"""The outputs of a run that has not ended: how many samples are written, and the hash of what is written."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quantlab.errors import StudyError
from quantlab.foreign import reading
from quantlab.npy import mapped

__all__ = ["PROGRESS", "RunProgress", "WrittenRows", "hash_rows", "read_progress"]

PROGRESS = "progress.json"
"""The progress of a run, overwritten in place after each batch; renaming a new file would take longer than a batch."""

_READ_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Progress of a run, over all processes that worked on it."""

    done: int = 0
    timed: int = 0
    seconds: float = 0.0
    sha256: str = ""
    """What `hash_rows` gives for the first `done` samples; empty before the first batch."""
    warm: bool = False
    """Whether this process has completed its first batch, which is not timed."""

    def line(self) -> bytes:
        """The content of `progress.json`, always of the same length, so that it overwrites the previous content."""
        record = {"done": self.done, "timed": self.timed, "seconds": self.seconds, "sha256": self.sha256}
        return f"{json.dumps(record):200}\n".encode()


def read_progress(file: Path) -> RunProgress | None:
    """Read the progress of an interrupted run; None if the file cannot be read."""
    try:
        with reading(file, StudyError, "run it again"):
            left = json.loads(file.read_bytes())
            sha256 = str(left.get("sha256", ""))  # an older quantlab wrote none
            return RunProgress(int(left["done"]), int(left["timed"]), float(left["seconds"]), sha256)
    except StudyError:
        return None


@dataclass(frozen=True, slots=True)
class WrittenRows:
    """The place of the samples in the file of an output."""

    file: Path
    offset: int
    """Bytes before the first sample."""
    row_bytes: int
    """Bytes of one sample."""

    @classmethod
    def of(cls, file: Path) -> "WrittenRows":
        """Read the header of a `.npy` file.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is not a `.npy` file.
        """
        array = mapped(file)
        return cls(file, int(array.offset), array[:1].nbytes)


def hash_rows(outputs: Sequence[WrittenRows], start: int, stop: int, *, batch_size: int, before: str = "") -> str:
    """Extend the hash of the samples before `start` to those before `stop`: each batch is hashed with the one before.

    So the hash of a run that went on is that of a run that was never interrupted, and no batch is read twice.

    Args:
        outputs: The files of all outputs.
        start: The first sample, the first of a batch.
        stop: One past the last sample.
        batch_size: Number of samples that are hashed together.
        before: The hash of the samples before `start`; empty for the first.
    """
    for first in range(start, stop, batch_size):
        whole = hashlib.sha256(before.encode())
        for output in outputs:
            left = (min(first + batch_size, stop) - first) * output.row_bytes
            with output.file.open("rb") as file:
                file.seek(output.offset + first * output.row_bytes)
                while left and (block := file.read(min(left, _READ_BYTES))):
                    whole.update(block)
                    left -= len(block)
        before = whole.hexdigest()
    return before
