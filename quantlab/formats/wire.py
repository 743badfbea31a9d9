"""Reads protobuf messages without their schema: the fields of a message by number.

The schemas of SavedModels are in TensorFlow, which only children may import.
Source of the encoding: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator

__all__ = ["Fields", "fields_of", "read_varint"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_VARINT_BITS = 63


class Fields:
    r"""The fields of one message.

    >>> message = Fields(b"\x08\x96\x01\x12\x02ok")
    >>> message.number(1), message.texts(2), message.number(9, 7)
    (150, ['ok'], 7)

    Args:
        data: The bytes of the message.

    Raises:
        ValueError: If they are not a message.
    """

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in fields_of(data):
            self._fields.setdefault(number, []).append(value)

    def number(self, field: int, default: int = 0) -> int:
        """The last value of an integer field; `default` if there is none."""
        found = [value for value in self._fields.get(field, ()) if isinstance(value, int)]
        return found[-1] if found else default

    def values(self, field: int) -> list[int | bytes]:
        """Every value of a field of numbers, which are bytes where they are packed."""
        return list(self._fields.get(field, ()))

    def blocks(self, field: int) -> list[bytes]:
        """Every value of a field of strings or messages."""
        return [value for value in self._fields.get(field, ()) if isinstance(value, bytes)]

    def texts(self, field: int) -> list[str]:
        """The same as strings; bytes that are not UTF-8 are replaced."""
        return [block.decode(errors="replace") for block in self.blocks(field)]

    def messages(self, field: int) -> list["Fields"]:
        """The same as messages."""
        return [Fields(block) for block in self.blocks(field)]

    def message(self, field: int) -> "Fields":
        """The last message of a field; an empty one if there is none."""
        return Fields((self.blocks(field) or [b""])[-1])

    def entries(self, field: int) -> dict[str, "Fields"]:
        """A field that maps strings to messages."""
        return {(entry.texts(1) or [""])[-1]: entry.message(2) for entry in self.messages(field)}

    def __contains__(self, field: int) -> bool:
        return field in self._fields


def fields_of(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the value of each field: an integer, or bytes.

    Raises:
        ValueError: If the bytes end within a field, or have a wire type that is not known.
    """
    place = 0
    while place < len(data):
        key, place = read_varint(data, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = read_varint(data, place)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, place = read_varint(data, place)
        elif kind in {_FIXED64, _FIXED32}:
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"byte {place} begins a field of the unknown wire type {kind}")
        if place + size > len(data):
            raise ValueError(f"a field of {size} bytes at byte {place} goes beyond the end, byte {len(data)}")
        block = data[place : place + size]
        yield key >> 3, block if kind == _BYTES else int.from_bytes(block, "little")
        place += size


def read_varint(data: bytes, place: int) -> tuple[int, int]:
    r"""An integer of variable length at a position, and the position after it.

    >>> read_varint(b"\x96\x01", 0)
    (150, 2)

    Raises:
        ValueError: If it goes beyond the end, or has more than 64 bits.
    """
    value = 0
    for shift in range(0, _MOST_VARINT_BITS + 1, 7):
        if place >= len(data):
            raise ValueError(f"an integer goes beyond the end, byte {len(data)}")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError(f"an integer before byte {place} has more than 64 bits")
