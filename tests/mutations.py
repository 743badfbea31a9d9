"""Malformed files: a good one changed in ways that files are damaged, and that somebody changes them on purpose."""

import random
from collections.abc import Callable, Iterator

__all__ = ["mutated"]

_NUMBERS = (0, 1, 2, 127, 128, 255, 65_535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
_WORDS = (
    *(b"null", b"-1", b"1e999", b"NaN", b"\xff\xfe", b"\x00", b"''", b"()", b"(2**64,)", b"../" * 20, b"{}", b"[]"),
    *(b"[" * 100_000, b"-" * 5_000, b"9" * 5_000, b"(" * 5_000, b"true", b'"' + b"a" * 10_000 + b'"'),
)


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2, 8, 32))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _zero(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    stop = min(len(data), start + chance.choice((1, 4, 64, 1024)))
    data[start:stop] = bytes(stop - start)


def _number(data: bytearray, chance: random.Random) -> None:
    """A field of a size or an offset that says something else."""
    width = chance.choice((1, 2, 4, 8))
    start = chance.randrange(max(1, len(data) - width))
    value = chance.choice(_NUMBERS) % 2 ** (8 * width)
    data[start : start + width] = value.to_bytes(width, chance.choice(("little", "big")))


def _word(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    data[start : start + chance.choice((0, 1, 4, 16))] = chance.choice(_WORDS)


def _repeat(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    piece = bytes(data[start : start + chance.choice((1, 16, 256))])
    data[start:start] = piece * chance.choice((1, 3, 50))


def _swap(data: bytearray, chance: random.Random) -> None:
    first, second = sorted(chance.randrange(len(data)) for _ in range(2))
    width = min(64, second - first, len(data) - second)
    data[first : first + width], data[second : second + width] = (
        data[second : second + width],
        data[first : first + width],
    )


_WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _flip, _cut, _zero, _number, _number, _word, _word, _repeat, _swap),
)


def mutated(good: bytes, seed: int, count: int) -> Iterator[tuple[int, bytes]]:
    """So many malformed files, each with the number that makes it again; one in ten is changed in several ways."""
    for number in range(count):
        chance = random.Random(f"{seed} {number}")  # noqa: S311 (the same in every run)
        data = bytearray(good)
        for _ in range(1 if number % 10 else 4):
            if data:
                chance.choice(_WAYS)(data, chance)
        yield number, bytes(data)
