"""Lines of a stream, with the place of each, for formats of text."""

import io
from typing import BinaryIO

from quantlab.samples.records.contract import MOST_RECORD_BYTES

__all__ = ["Lines"]


class Lines:
    r"""An iterator over the lines of a stream in UTF-8, which knows the place of the next one.

    >>> lines = Lines(io.BytesIO(b"one\ntwo"), 0)
    >>> next(lines), lines.place, next(lines), lines.place
    ('one\n', 4, 'two', 7)

    Args:
        stream: The bytes.
        place: Where to begin.

    Raises:
        ValueError: If a line is too long to be a record, or is not UTF-8.
    """

    def __init__(self, stream: BinaryIO, place: int) -> None:
        self._stream, self.place, self.number = stream, place, 0
        stream.seek(place, io.SEEK_SET)

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MOST_RECORD_BYTES + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MOST_RECORD_BYTES:
            raise ValueError(f"line {self.number} is longer than {MOST_RECORD_BYTES / 1e6:,.0f} MB")
        # The mark that some programs write before UTF-8 would become a part of the first name.
        text = line.decode("utf-8-sig" if self.place == 0 else "utf-8")
        self.place += len(line)
        return text
