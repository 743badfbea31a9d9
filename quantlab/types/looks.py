"""How often a study was judged, with how many samples: the content of `looks.json`."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Look", "LookKind", "LookRule", "Looks"]

LookKind = Literal["one", "further", "planned", "any"]
"""`one`: the first look, judged as if it were the only one. `further`: after a look that was judged so. `planned`: one
of the looks at a planned number of samples. `any`: one of any number of looks, as was declared at the first."""


@dataclass(frozen=True, slots=True)
class LookRule:
    """By which rule the samples of a study are judged, given the looks at fewer samples before."""

    kind: LookKind
    number: int
    """1 for the first set of samples that was judged, 2 for the second, …"""
    planned_n: int | None = None
    """The planned number of samples; None without a plan."""

    @property
    def any_number(self) -> bool:
        """Whether the bounds hold at any number of looks."""
        return self.kind in {"further", "any"}


@dataclass(frozen=True, slots=True)
class Look:
    """A judgement of a study."""

    samples_sha256: str
    """Hash of the samples; judging the same samples again is no further look at more of them."""
    n: int
    kind: LookKind
    confidence: float
    """One-sided confidence that was asked for."""
    budget: str
    """The limits, as text."""
    outcome: str
    """`fits`, `inconclusive` or `breaks`."""


@dataclass(frozen=True, slots=True)
class Looks:
    """All judgements of a study, the first first, and what was declared at the first."""

    looks: tuple[Look, ...] = ()
    planned_n: int | None = None
    """The planned number of samples; None without a plan."""
