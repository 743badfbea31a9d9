"""Where a model is shipped to, and what counts there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from quantlab.errors import UsageError
from quantlab.names import nearest
from quantlab.registries import REAL, Registries
from quantlab.types import Budget, Variant

__all__ = ["TARGETS", "Target", "target_of"]

Transfer = Literal["size_bytes", "gzip_bytes"]


@dataclass(frozen=True, slots=True)
class Target:
    """A place to ship to."""

    name: str
    formats: tuple[str, ...] | None
    """None is every format."""
    runtimes: tuple[str, ...]
    """Names and globs, of those that stand for the target."""
    transfer: Transfer
    """What it transfers: compressed for the web, raw for what lies in a package."""
    size_word: str
    """What is said behind a size."""
    beyond: tuple[str, ...]
    """What no runtime here stands for, in words."""
    any_of: bool = False
    """Whether one of its runtimes is enough, so that the others are not missed."""

    def size_of(self, variant: Variant) -> int:
        """Bytes that the target transfers."""
        return variant.gzip_bytes if self.transfer == "gzip_bytes" else variant.size_bytes


@dataclass(frozen=True, slots=True)
class _Place:
    """What is known of a target, whatever formats and runtimes there are."""

    transfer: Transfer
    size_word: str
    beyond: tuple[str, ...] = ()
    any_of: bool = False
    """Whether one runtime that stands for it is enough, so that the others are not missed."""


_PLACES: Mapping[str, _Place] = {
    "web": _Place("gzip_bytes", "gzipped", ("browsers other than Chromium",)),
    "web-mobile": _Place("gzip_bytes", "gzipped", ("a phone's GPU",)),
    "node": _Place("size_bytes", "on disk", any_of=True),
    "android": _Place("size_bytes", "raw", ("a phone's GPU and NPU delegates",)),
}


def targets_of(registries: Registries) -> dict[str, Target]:
    """Every target by its name; formats and runtimes say themselves what they are shipped to and stand for."""
    targets = {
        name: Target(
            name,
            tuple(format_.name for format_ in registries.formats.values() if name in format_.targets),
            tuple(runtime.name for runtime in registries.runtimes.values() if name in runtime.targets),
            place.transfer,
            place.size_word,
            place.beyond,
            place.any_of,
        )
        for name, place in _PLACES.items()
    }
    return {**targets, "any": Target("any", None, ("*",), "gzip_bytes", "gzipped", ())}


TARGETS: Mapping[str, Target] = targets_of(REAL)
"""Every target by its name, of the real formats and runtimes."""


def target_of(budget: Budget, registries: Registries = REAL) -> Target:
    """The target that a budget names.

    Raises:
        UsageError: If there is none of that name.
    """
    known = targets_of(registries)
    if budget.target not in known:
        raise UsageError(f"there is no target '{budget.target}'; {nearest(budget.target, known)}")
    return known[budget.target]
