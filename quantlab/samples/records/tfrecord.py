"""TFRecord files of `tf.train.Example`, without TensorFlow.

Sources: https://www.tensorflow.org/tutorials/load_data/tfrecord, tensorflow/core/lib/io/record_reader.cc and
tensorflow/core/example/feature.proto.
"""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from quantlab.formats.wire import Fields
from quantlab.samples.records.contract import Record, RecordFormat, refuse_large

__all__ = ["TFRECORD"]

_HEADER, _FOOTER = 12, 4
_LENGTH = 8
_GZIP = b"\x1f\x8b"
_BYTES, _FLOATS, _INTEGERS = 1, 2, 3
"""Numbers of the fields of a Feature."""
_MORE, _MOST_VARINT_BYTES = 0x80, 10


def _scan(stream: BinaryIO, names: Sequence[str]) -> Iterator[tuple[int, Record]]:
    place, number = 0, 0
    while (content := _content(stream, place, f"record {number}")) is not None:
        yield place, _example(content, f"record {number}", names)
        place, number = place + _HEADER + len(content) + _FOOTER, number + 1


def _pick(stream: BinaryIO, places: Sequence[int], names: Sequence[str]) -> Iterator[Record]:
    for place in places:
        where = f"the record at byte {place:,}"
        yield _example(_content(stream, place, where) or b"", where, names)


def _content(stream: BinaryIO, place: int, where: str) -> bytes | None:
    """The bytes of the record at a place; None at the end of the file.

    Raises:
        ValueError: If the file ends within the record, or a checksum differs.
    """
    stream.seek(place)
    header = stream.read(_HEADER)
    if not header:
        return None
    if len(header) < _HEADER:
        raise ValueError(f"it ends within {where}")
    if place == 0 and header.startswith(_GZIP) and not _has_checksum(header[:_LENGTH], header[_LENGTH:]):
        raise ValueError("it is compressed, and its name does not end in .gz")
    _check(header[:_LENGTH], header[_LENGTH:], f"the length of {where}")
    length = int.from_bytes(header[:_LENGTH], "little")
    refuse_large(length, where)
    content, footer = stream.read(length), stream.read(_FOOTER)
    if len(content) < length or len(footer) < _FOOTER:
        raise ValueError(f"it ends within {where}")
    _check(content, footer, where)
    return content


def _check(content: bytes, stored: bytes, where: str) -> None:
    if not _has_checksum(content, stored):
        raise ValueError(f"{where} does not have its checksum")


def _has_checksum(content: bytes, stored: bytes) -> bool:
    from quantlab.samples.records.crc32c import crc32c, masked

    return masked(crc32c(content)) == int.from_bytes(stored, "little")


def _example(content: bytes, where: str, names: Sequence[str]) -> Record:
    """Features of an Example by name, sorted: bytes or several of them as a list, float32 (k,), or int64 (k,)."""
    try:
        features = Fields(content).message(1).entries(1)
        return {
            name: _value(feature)
            for name, feature in sorted(features.items())
            if not names or any(one == name or one.startswith(f"{name}.") for one in names)
        }
    except ValueError as error:
        raise ValueError(f"{where} is no tf.train.Example: {error}") from error


def _value(feature: Fields) -> Any:
    if _BYTES in feature:
        blocks = feature.message(_BYTES).blocks(1)
        return blocks[0] if len(blocks) == 1 else (blocks or None)
    if _FLOATS in feature:
        floats = b"".join(_packed(value, 4) for value in feature.message(_FLOATS).values(1))
        return np.frombuffer(floats, "<f4") if floats else None
    if _INTEGERS in feature:
        integers = [_integers(value) for value in feature.message(_INTEGERS).values(1)]
        joined = np.concatenate(integers) if integers else None
        return None if joined is None or not joined.size else joined
    return None


def _packed(value: int | bytes, size: int) -> bytes:
    """The bytes of numbers of a fixed size, which may be packed or single."""
    return value if isinstance(value, bytes) else value.to_bytes(size, "little")


def _integers(value: int | bytes) -> npt.NDArray[np.int64]:
    """Integers of variable length, (k,), which may be packed or single."""
    if isinstance(value, int):
        return np.array([value], np.uint64).astype(np.int64)
    content = np.frombuffer(value, np.uint8)
    ends = np.flatnonzero(content < _MORE) + 1
    sizes = np.diff(ends, prepend=0)
    if (ends[-1] if ends.size else 0) != content.size or (sizes > _MOST_VARINT_BYTES).any():
        raise ValueError("an integer goes beyond the end, or has more than 64 bits")
    numbers = np.zeros(len(ends), np.uint64)
    for byte in range(int(sizes.max(initial=0))):
        longer = sizes > byte
        part = content[(ends - sizes)[longer] + byte] & np.uint8(_MORE - 1)
        numbers[longer] |= part.astype(np.uint64) << np.uint64(7 * byte)
    return numbers.view(np.int64)


TFRECORD = RecordFormat(
    name="tfrecord",
    kind="a TFRecord file",
    suffixes=(".tfrecord", ".tfrecords"),
    scan=_scan,
    pick=_pick,
    remedy="it is truncated or no TFRecord file of tf.train.Example: write it again",
)
