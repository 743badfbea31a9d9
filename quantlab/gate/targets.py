"""Where a model is shipped to, and what counts there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from quantlab.errors import UsageError
from quantlab.names import nearest
from quantlab.runtimes import RUNTIMES
from quantlab.settings import formats_of
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

    def size_of(self, variant: Variant) -> int:
        """Bytes that the target transfers."""
        return variant.gzip_bytes if self.transfer == "gzip_bytes" else variant.size_bytes


def _runtimes_of(target: str) -> tuple[str, ...]:
    return tuple(name for name, each in RUNTIMES.items() if target in each.targets)


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            "web",
            formats_of("web"),
            _runtimes_of("web"),
            "gzip_bytes",
            "gzipped",
            ("browsers other than Chromium",),
        ),
        Target(
            "web-mobile",
            formats_of("web-mobile"),
            _runtimes_of("web-mobile"),
            "gzip_bytes",
            "gzipped",
            ("a phone's GPU",),
        ),
        Target("node", formats_of("node"), ("node-*",), "size_bytes", "on disk", ()),
        Target(
            "android",
            formats_of("android"),
            _runtimes_of("android"),
            "size_bytes",
            "raw",
            ("a phone's GPU and NPU delegates",),
        ),
        Target("any", None, ("*",), "gzip_bytes", "gzipped", ()),
    )
}
"""Every target by its name."""


def target_of(budget: Budget) -> Target:
    """The target that a budget names.

    Raises:
        UsageError: If there is none of that name.
    """
    if budget.target not in TARGETS:
        raise UsageError(f"there is no target '{budget.target}'; {nearest(budget.target, TARGETS)}")
    return TARGETS[budget.target]
