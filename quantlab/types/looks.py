"""How often a study was judged, with how many samples: the content of `looks.json`."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["ChoiceRule", "Look", "LookKind", "LookRule", "Looks"]

LookKind = Literal["one", "further", "planned", "any"]
"""`one`: the first look, judged as if it were the only one. `further`: after a look that was judged so. `planned`: one
of the looks at a planned number of samples. `any`: one of any number of looks, as was declared at the first."""

ChoiceRule = Literal["all", "fixed sequence", "Bonferroni", "unknown"]
"""Which settings had to fit. `all`: each of them. `fixed sequence` and `Bonferroni`: any one, see `SeveralSettings`.
`unknown`: an older quantlab did not record it."""


@dataclass(frozen=True, slots=True)
class LookRule:
    """By which rule the samples of a study are judged, given the looks at fewer samples before."""

    kind: LookKind
    number: int
    """1 for the first set of samples that was judged, 2 for the second, …"""
    planned_n: int | None = None
    """The planned number of samples; None without a plan."""
    n: int | None = None
    """Number of samples of this look; None without a plan."""
    first_choice: str | None = None
    """How the same samples were judged first, in words, if another order or another choice of settings fits now; None
    if what fits was declared before the first look."""

    @property
    def at_end(self) -> bool:
        """Whether this look is the last one of a plan."""
        return self.n is not None and self.planned_n is not None and self.n >= self.planned_n

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
    rule: ChoiceRule = "unknown"
    order: tuple[str, ...] = ()
    """The settings that were judged, in the order in which they were; if all had to fit, in that of the table."""
    passed_over: tuple[str, ...] = ()
    """Settings of a fixed sequence that surely broke or were not run, so that the sequence went on."""
    fitting: tuple[str, ...] = ()
    """Settings that fit; none if all had to fit and one did not."""
    runtimes: tuple[str, ...] = ()
    """The runtimes that counted."""


@dataclass(frozen=True, slots=True)
class Looks:
    """All judgements of a study, the first first, and what was declared at the first."""

    looks: tuple[Look, ...] = ()
    planned_n: int | None = None
    """The planned number of samples; None without a plan."""
