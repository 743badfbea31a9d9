"""Imports of the fork server: without what no child needs, and without work for each child afterwards."""

import contextlib
import gc
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

__all__ = ["absent", "keeping_all", "standing_in"]


@contextlib.contextmanager
def keeping_all() -> Iterator[None]:
    """Turn garbage collection off during imports, because it takes a quarter of the time and frees little.

    Afterwards all objects are frozen: a child's collector ignores them, and so does not copy their memory pages.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def absent(names: list[str]) -> Iterator[None]:
    """Make imports of these libraries fail, unless they are already imported."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None means that it cannot be imported
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


class _StandIn(ModuleType):
    """Replaces a module; its attributes are functions that import the real module when they are called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # attributes that the import system reads
            raise AttributeError(name)

        def call(*given: Any, **named: Any) -> Any:  # later, when the stand-in has been removed
            return getattr(importlib.import_module(self.__name__), name)(*given, **named)

        return call


@contextlib.contextmanager
def standing_in(names: list[str]) -> Iterator[None]:
    """Replace these modules by stand-ins during the block, unless they are already imported."""
    stand_ins = {name: _StandIn(name) for name in names if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)
