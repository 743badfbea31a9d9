"""Targets: where a model will be used, and which formats, runtimes and sizes count there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from quantlab.errors import UsageError
from quantlab.names import nearest
from quantlab.registries import REAL, Registries
from quantlab.types import Budget, Variant

__all__ = ["TARGETS", "Target", "target_named", "target_of"]

Transfer = Literal["size_bytes", "gzip_bytes"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a model will be used."""

    name: str
    formats: tuple[str, ...] | None
    """Formats that run on the target; None means every format."""
    runtimes: tuple[str, ...]
    """Names and globs of the runtimes that represent the target."""
    transfer: Transfer
    """The size that counts: compressed for the web, raw for files in a package."""
    size_word: str
    """The word after a size in messages."""
    beyond: tuple[str, ...]
    """Environments of the target that no runtime represents, in words."""
    any_of: bool = False
    """Whether one of its runtimes is enough, so that the others do not count as not tested."""

    def size_of(self, variant: Variant) -> int:
        """Return the bytes that the target transfers."""
        return variant.gzip_bytes if self.transfer == "gzip_bytes" else variant.size_bytes


@dataclass(frozen=True, slots=True)
class _Place:
    """The properties of a target that do not depend on formats and runtimes."""

    transfer: Transfer
    size_word: str
    beyond: tuple[str, ...] = ()
    any_of: bool = False
    """See `Target.any_of`."""


_PLACES: Mapping[str, _Place] = {
    "web": _Place("gzip_bytes", "gzipped", ("browsers other than Chromium",)),
    "web-mobile": _Place("gzip_bytes", "gzipped", ("a phone's GPU",)),
    "node": _Place("size_bytes", "on disk", any_of=True),
    "android": _Place("size_bytes", "raw", ("a phone's GPU and NPU delegates",)),
}


def targets_of(registries: Registries) -> dict[str, Target]:
    """Return all targets by name. Formats and runtimes declare which targets they belong to."""
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
"""All targets by name, for the built-in formats and runtimes."""


def target_of(budget: Budget, registries: Registries = REAL) -> Target:
    """Return the target that a budget names.

    Raises:
        UsageError: If the target is unknown.
    """
    return target_named(budget.target, registries)


def target_named(name: str, registries: Registries = REAL) -> Target:
    """Return a target by its name.

    Raises:
        UsageError: If the target is unknown.
    """
    known = targets_of(registries)
    if name not in known:
        raise UsageError(f"there is no target '{name}'; {nearest(name, known)}")
    return known[name]
