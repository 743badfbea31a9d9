"""Readers that do with a malformed file what none may, so that it is tested that the tests of readers see it."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from foreign_readers import Reader

from quantlab.errors import SamplesError

__all__ = ["FAULTY"]

_GOOD = b"a good file\n"


def _make(folder: Path) -> Path:
    (folder / "good.txt").write_bytes(_GOOD)
    return folder / "good.txt"


def _on_bad(fault: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda path: None if path.read_bytes() == _GOOD else fault(path)


def _raise(path: Path) -> None:
    raise KeyError(path.name)


def _leave(path: Path) -> None:
    raise SystemExit(path.name)


def _name_nothing(_: Path) -> None:
    raise SamplesError("it cannot be read; write it again")


def _say_no_remedy(path: Path) -> None:
    raise SamplesError(f"'{path}' cannot be read")


def _believe_a_size(path: Path) -> None:
    try:
        np.empty(2**40, np.uint8)
    except MemoryError as error:
        raise SamplesError(f"'{path}' cannot be read; write it again") from error


FAULTY: Mapping[str, tuple[Reader, str]] = {
    "raises": (Reader(_on_bad(_raise), _make), " raised: KeyError: "),
    "leaves": (Reader(_on_bad(_leave), _make), " raised: SystemExit: "),
    "names no file": (Reader(_on_bad(_name_nothing), _make), " names no file: it cannot be read; write it again"),
    "has no remedy": (Reader(_on_bad(_say_no_remedy), _make), " has no remedy: '"),
    "crashes": (Reader(_on_bad(lambda _: os.abort()), _make), " killed: status -6"),
    "hangs": (Reader(_on_bad(lambda _: time.sleep(60)), _make, seconds=1), " hung: for 1 seconds"),
    "fills the memory": (Reader(_on_bad(lambda _: np.ones(100 * 10**6, np.uint8)), _make), " took 1"),
    "believes a size": (Reader(_on_bad(_believe_a_size), _make), " asked for more memory than there is: '"),
}
"""Fault → the reader, and what is said of each malformed file."""
