"""Malformed files: valid files with typical damage or with malicious changes."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from quantlab.seals import SEAL, sealed

__all__ = ["changed_document", "mutated"]

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
    """So many malformed files, each with the number that makes it again; one in ten is changed in several ways.

    Every second one of a JSON document is a JSON document too, in which values, keys or lists are changed.
    """
    document = _document(good)
    for number in range(count):
        chance = random.Random(f"{seed} {number}")  # noqa: S311 (the same in every run)
        times = 1 if number % 10 else 4
        if document is not None and number % 2:
            yield number, json.dumps(_sealed_again(changed_document(document, chance, times))).encode()
            continue
        data = bytearray(good)
        for _ in range(times):
            if data:
                chance.choice(_WAYS)(data, chance)
        yield number, bytes(data)


def _sealed_again(document: Any) -> Any:
    """A record of ours with the right hash, so that more of it is read."""
    return sealed({key: value for key, value in document.items() if key != SEAL}) if SEAL in document else document


def _document(good: bytes) -> Any:
    try:
        return json.loads(good)
    except ValueError:
        return None


_Place = tuple[Any, Any]
"""A dictionary or a list, and the key or the index of something in it."""

_MOST_REPEATED = 200_000
"""Times that an element of a list is repeated, where it is as short as the name of a file."""


def changed_document(document: Any, chance: random.Random, times: int = 1) -> Any:
    """A copy of a document of dictionaries and lists with so many changes; it can be written as JSON.

    A value becomes another, of another type, huge or nested; a key is removed or renamed; an element is repeated; two
    values change places.
    """
    changed = copy.deepcopy(document)
    for _ in range(times):
        places = list(_places(changed))
        if places:
            chance.choice(_CHANGES)(places, chance)
    return changed


def _places(value: Any) -> Iterator[_Place]:
    """Every place in a document, those inside after the one that holds them."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _odd_values() -> tuple[Any, ...]:
    nested: Any = []
    for _ in range(150):  # deep, and still to be written by recursion
        nested = [nested]
    infinite = (float("nan"), float("inf"), -float("inf"))
    numbers = (0, -1, 1, 0.5, 1e308, 2**31, 2**63, 2**64, 10**400, -(10**30), *infinite)
    texts = ("", "NaN", "-Infinity", "../" * 20, "\0", "\ud800", "a" * 10_000, "9" * 5_000, "1e999", "float33", "5pt")
    return (None, True, False, *numbers, *texts, [], {}, [[]], [None], {"": None}, nested)


_ODD_VALUES = _odd_values()


def _replace(places: list[_Place], chance: random.Random) -> None:
    holder, key = chance.choice(places)
    holder[key] = copy.deepcopy(chance.choice(_ODD_VALUES))


def _scale(places: list[_Place], chance: random.Random) -> None:
    """A number of another sign or size, in the type that it has."""
    numbers = [(holder, key) for holder, key in places if type(holder[key]) in {int, float}]
    if numbers:
        holder, key = chance.choice(numbers)
        holder[key] = type(holder[key])(holder[key] * chance.choice((-1, 0, 10, 1_000_000)))


def _remove(places: list[_Place], chance: random.Random) -> None:
    holder, key = chance.choice(places)
    del holder[key]


def _rename(places: list[_Place], chance: random.Random) -> None:
    keyed = [(holder, key) for holder, key in places if isinstance(holder, dict)]
    if keyed:
        holder, key = chance.choice(keyed)
        holder[chance.choice((f"{key}s", key.upper(), "", "name", "\0"))] = holder.pop(key)


def _repeat_element(places: list[_Place], chance: random.Random) -> None:
    listed = [(holder, key) for holder, key in places if isinstance(holder, list)]
    if listed:
        holder, key = chance.choice(listed)
        short = isinstance(holder[key], str | int | float) and len(str(holder[key])) < 20
        times = chance.choice((1, 20, _MOST_REPEATED if short else 100))
        holder[key:key] = [holder[key]] * times


def _exchange(places: list[_Place], chance: random.Random) -> None:
    (one, key), (other, place) = chance.choice(places), chance.choice(places)
    # Copies, since one may lie inside the other.
    one[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(one[key])


_CHANGES: tuple[Callable[[list[_Place], random.Random], None], ...] = (
    *(_replace, _replace, _replace, _scale, _remove, _rename, _repeat_element, _exchange),
)
