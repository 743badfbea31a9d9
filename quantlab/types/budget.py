"""The budget that a user sets for a setting: the losses and sizes that are allowed."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from quantlab.errors import UsageError
from quantlab.types.limits import ERROR_FIGURES, FigureName, OutputLimit, read_limits
from quantlab.types.paired import Loss

__all__ = ["Budget", "Margin"]

UNORDERED = "none"
"""What `order` is if settings have none."""

_UNITS = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

_LARGEST = 100.0
"""Largest margin, in percentage points or percent."""
_SHARES = ("pt", "%")


@dataclass(frozen=True, slots=True)
class Margin:
    """Largest allowed loss of a metric, with its unit."""

    value: float
    unit: str
    """`pt`: percentage points; `%`: percent of the reference's value; otherwise a metric that is no share, such as
    `mae`, or the function of `module:function`: the loss in that metric's own unit."""

    @classmethod
    def parse(cls, text: str, *, of: str = "max_accuracy_loss", metric: str | None = None) -> "Margin":
        """Read `0.5pt`, `0.5%` or `0.2mae`; a space before the unit is allowed.

        Whether a metric has this unit is only known where there is a loss, see `Margin.of`.

        >>> Margin.parse("0.5pt"), Margin.parse("2 %"), Margin.parse("0.02mae")
        (Margin(value=0.5, unit='pt'), Margin(value=2.0, unit='%'), Margin(value=0.02, unit='mae'))

        Args:
            text: The user's input.
            of: Name of the option, for the error message.
            metric: The metric, if known, for the error message.

        Raises:
            UsageError: If the unit or the number is missing, or the number is negative or too large.
        """
        match = re.fullmatch(r"\s*([+-]?\d*\.?\d+(?:[eE][+-]?\d+)?)\s*(%|[^\W\d][\w-]*)?\s*", str(text))
        if match is None:
            raise UsageError(
                f"{of} '{text}' is not a valid loss; write for example 0.5pt (percentage points) or 0.5% (relative)"
            )
        number, unit = float(match[1]), match[2]
        if unit is None:
            raise UsageError(f"{of} '{text}' has no unit; write {_units(number, of, metric)}")
        if number < 0:
            raise UsageError(f"{of} '{text}' is negative; the allowed loss must be 0 or more")
        if not math.isfinite(number) or (unit in _SHARES and number > _LARGEST):
            most = "100" if unit in _SHARES else "any number"
            raise UsageError(f"{of} '{text}' is more than {most}, so nothing could break it; allow a smaller loss")
        return cls(number, unit)

    def of(self, loss: Loss) -> float:
        """The margin in the unit of `loss`.

        Raises:
            UsageError: If the metric does not have the margin's unit, or if the margin is relative and the reference's
                value is not above 0.
        """
        own = "pt" if loss.unit == "pt" else loss.metric.rpartition(":")[2]
        if self.unit == own:
            return self.value
        example = "0.5pt" if own == "pt" else _example(loss.reference, own)
        if self.unit == "pt":
            raise UsageError(
                f"{self.value:g}pt means percentage points, and the metric '{loss.metric}' is not a share; "
                f"write the loss in its own unit, for example {example}, or relative to the reference: {self.value:g}%"
            )
        if self.unit != "%":
            raise UsageError(
                f"the allowed loss {self} has the unit '{self.unit}', and a loss of the metric '{loss.metric}' has the "
                f"unit '{own}'; write for example {example}, or a loss relative to the reference, such as 0.5%"
            )
        if not (loss.reference > 0 and math.isfinite(loss.reference)):
            raise UsageError(
                f"a loss of {self.value:g}% cannot be taken from the reference's {loss.metric} of {loss.reference:g}, "
                f"which is not above 0; write an absolute loss, for example {example}"
            )
        return self.value / 100 * loss.reference

    def __str__(self) -> str:
        return f"{self.value:g}{self.unit}"


def _example(reference: float, unit: str) -> str:
    """A twentieth of the reference, in one digit."""
    size = abs(reference) / 20
    return f"{size if 0 < size < math.inf else 0.1:.1g}{unit}"


def _units(number: float, of: str, metric: str | None) -> str:
    """How to write a number with the units that a limit takes."""
    points = f"{number:g}pt for {number:g} percentage points"
    if of in _ONLY_POINTS:
        return points
    relative = f"{number:g}% for a loss relative to the reference"
    function = re.fullmatch(r"[^:]+:([^:]+):(?:higher|lower)(?::sample)?", metric or "")
    own = function[1] if function else metric if metric in OWN_UNITS else None
    if own is not None:
        return f"{number:g}{own} for a loss in the unit of the metric, or {relative}"
    return f"{points}, {relative}, or the name of a metric that is no share, for example {number:g}mae"


_ONLY_POINTS = ("max_class_loss", "max_slice_loss")
"""Limits of losses of top-1."""
OWN_UNITS = ("mae", "rmse", "angular-error")
"""Metrics that are no shares; their names are the units of their losses."""


def _margin(value: "Margin | str | float | None", name: str, metric: str | None = None) -> "Margin | None":
    return value if value is None or isinstance(value, Margin) else Margin.parse(str(value), of=name, metric=metric)


def _bytes(value: int | str | None) -> int | None:
    """Read a size such as `500KB`, `2 MiB` or a plain number of bytes."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        size = value
    else:
        match = re.fullmatch(r"\s*(\d*\.?\d+)\s*([KMG]i?B|B)?\s*", str(value))
        if match is None:
            raise UsageError(f"max_size '{value}' is not a valid size; write for example 500KB, 2MB or 512KiB")
        number = float(match[1]) * _UNITS[match[2] or "B"]
        if not math.isfinite(number):
            raise UsageError(f"max_size '{value}' is not a number of bytes; write for example 500KB, 2MB or 512KiB")
        size = int(number)
    if size is not None and size < 1:
        raise UsageError(f"max_size '{value}' is less than one byte; give a size above 0, for example 500KB")
    return size


def _percent(value: float | str | None) -> float | None:
    """Read a share such as `99%`."""
    if value is None or isinstance(value, float):
        if value is not None and not 1 < value <= 100:
            raise UsageError(f"min_agreement {value:g} is not a percentage above 1 and up to 100; write 99 % as 99%")
        return value
    match = re.fullmatch(r"\s*(\d*\.?\d+)\s*%\s*", str(value))
    if match is None or float(match[1]) > 100:
        raise UsageError(f"min_agreement '{value}' is not a valid share; write a percentage, for example 99%")
    return float(match[1])


def _short(number: float) -> str:
    """A number of any size as text; integers may be too large for a float."""
    return f"{number:g}" if isinstance(number, float) else str(number)


Limits = float | str | Sequence[str] | tuple[OutputLimit, ...] | None
"""Limits of a figure of outputs, as the user gives them, and as they are read."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The losses and sizes that the user allows, and the runtimes they apply to.

    Limits may be given as text: `Budget(max_accuracy_loss="0.5pt", max_size="500KB", min_agreement="99%")`.

    Raises:
        UsageError: If a text cannot be read, or options contradict each other.
    """

    max_accuracy_loss: Margin | str | None = None
    """Largest allowed loss of the metric, with its unit: `0.5pt` (points), `0.5%` (relative to the reference), or
    the name of a metric that is no share: `0.2mae`."""
    max_class_loss: Margin | str | None = None
    """Largest allowed loss of accuracy of any single class, in points: `2pt`."""
    max_slice_loss: Margin | str | None = None
    """Largest allowed loss of accuracy of any single slice of `analyze --slice`, in points: `2pt`."""
    max_size: int | str | None = None
    """Largest allowed download size, compressed as the target transfers files: `500KB`."""
    min_agreement: float | str | None = None
    """Smallest allowed share of samples on which the variant has the reference's top-1: `99%`."""
    min_sqnr: Limits = None
    """Smallest allowed signal to quantization noise ratio of every output: `40dB`; of one output or channel:
    `boxes=30dB`, `boxes[3]=30dB`; of each channel: `boxes[*]=30dB`; several in a list."""
    min_cosine: Limits = None
    """Smallest allowed cosine similarity with the reference's outputs: `0.999`, `embedding=0.999`."""
    max_abs_error: Limits = None
    """Largest allowed absolute difference of any element from the reference's outputs: `0.05`, `boxes=2.5`."""
    max_rmse: Limits = None
    """Largest allowed root mean square difference from the reference's outputs: `0.01`, `boxes=0.5`."""
    confidence: float = 0.95
    """One-sided confidence of the bounds that decide."""
    metric: str | None = None
    """A name from `PAIRED_METRICS` or `module:function:higher|lower`; None selects the study's metric."""
    target: str = "any"
    """Deployment target: `web`, `web-mobile`, `node`, `android` or `any`; selects formats, runtimes and size."""
    runtimes: tuple[str, ...] | None = None
    """Names or glob patterns of the runtimes that count; None selects those of the target."""
    order: tuple[str, ...] | None = None
    """Names or glob patterns of the settings in the order in which they are judged until one does not fit; `none`: no
    order, but wider bounds; None: from most bits to fewest. It matters only where one of several settings is enough."""
    planned_n: int | None = None
    """Planned number of samples, declared at the first look: looks at fewer samples of the study count together."""
    looks: str | None = None
    """`any`, declared at the first look: the study may be judged at any number of samples, with wider bounds."""
    leave_out_non_finite: bool = False
    """Whether to judge without samples on which the model itself is NaN or infinite; otherwise they are refused."""
    allow_poor_reference: bool = False
    """Whether to judge although the model itself is not shown to be better than guessing."""
    allow_constant: tuple[str, ...] = ()
    """Outputs, as `output` or `output[channel]`, that a variant may give constant although they vary in the
    reference."""

    def __post_init__(self) -> None:
        for name, value in (
            ("max_accuracy_loss", _margin(self.max_accuracy_loss, "max_accuracy_loss", self.metric)),
            ("max_class_loss", _margin(self.max_class_loss, "max_class_loss")),
            ("max_slice_loss", _margin(self.max_slice_loss, "max_slice_loss")),
            ("max_size", _bytes(self.max_size)),
            ("min_agreement", _percent(self.min_agreement)),
        ):
            object.__setattr__(self, name, value)
        for figure in ERROR_FIGURES.values():
            object.__setattr__(self, figure.limit, read_limits(getattr(self, figure.limit), figure.name))
        if isinstance(self.runtimes, str):
            object.__setattr__(self, "runtimes", tuple(runtime.strip() for runtime in self.runtimes.split(",")))
        if isinstance(self.order, str):
            object.__setattr__(self, "order", tuple(name.strip() for name in self.order.split(",")))
        if isinstance(self.allow_constant, str):
            names = tuple(name.strip() for name in self.allow_constant.split(","))
            object.__setattr__(self, "allow_constant", names)
        self._check()

    def _check(self) -> None:
        for name in ("allow_poor_reference", "leave_out_non_finite"):
            if not isinstance(value := getattr(self, name), bool):
                raise UsageError(f"{name} is {value!r} and must be true or false")
        if isinstance(self.confidence, bool) or not isinstance(self.confidence, int | float):
            raise UsageError(f"confidence '{self.confidence}' is not a number; write for example 0.95")
        if not 0.5 < self.confidence < 1:
            raise UsageError(
                f"a confidence of {_short(self.confidence)} is out of range; give a share above 0.5 and below 1, "
                f"such as 0.95"
            )
        self._check_looks()
        if self.order and UNORDERED in self.order and len(self.order) > 1:
            raise UsageError(
                f"the order '{','.join(self.order)}' names settings and says that there is no order; leave 'none' out, "
                f"or give it alone"
            )
        for name, margin in (("max_class_loss", self.class_margin), ("max_slice_loss", self.slice_margin)):
            if margin is not None and margin.unit != "pt":
                raise UsageError(f"{name} '{margin}' must be in points, for example 2pt")
        limits = (self.margin, self.class_margin, self.slice_margin, self.max_size, self.min_agreement)
        if all(limit is None for limit in limits) and not self.output_limits:
            *others, last = (f"{figure.limit} ({figure.example})" for figure in ERROR_FIGURES.values())
            raise UsageError(
                f"the budget sets no limit; give at least one of max_accuracy_loss (0.5pt), max_class_loss (2pt), "
                f"max_slice_loss (2pt), max_size (500KB), min_agreement (99%), {', '.join(others)} and {last}"
            )

    def _check_looks(self) -> None:
        if self.planned_n is not None and (isinstance(self.planned_n, bool) or not isinstance(self.planned_n, int)):
            raise UsageError(f"planned_n '{self.planned_n}' is not a number of samples; write for example 10000")
        if self.planned_n is not None and self.planned_n < 1:
            raise UsageError(f"planned_n is {self.planned_n}; plan at least one sample")
        if self.looks not in {None, "any"}:
            raise UsageError(f"looks '{self.looks}' is not known; write any, or leave it out")
        if self.looks == "any" and self.planned_n is not None:
            raise UsageError(
                f"looks = any and planned_n = {self.planned_n} contradict each other; a plan needs no bounds for any "
                f"number of looks, so leave one of them out"
            )

    @property
    def limits_by_chance(self) -> bool:
        """Whether a limit is judged by a bound, so that chance may decide; the size and a largest error are facts."""
        bounded = [limit for limit in self.output_limits if limit.figure != "max_abs_error"]
        return bool(bounded) or any(
            limit is not None for limit in (self.margin, self.class_margin, self.slice_margin, self.min_agreement)
        )

    @property
    def unordered(self) -> bool:
        """Whether settings are judged in no order, with wider bounds."""
        return self.order == (UNORDERED,)

    @property
    def margin(self) -> Margin | None:
        """`max_accuracy_loss` as a `Margin`."""
        return self.max_accuracy_loss if isinstance(self.max_accuracy_loss, Margin) else None

    @property
    def class_margin(self) -> Margin | None:
        """`max_class_loss` as a `Margin`."""
        return self.max_class_loss if isinstance(self.max_class_loss, Margin) else None

    @property
    def slice_margin(self) -> Margin | None:
        """`max_slice_loss` as a `Margin`."""
        return self.max_slice_loss if isinstance(self.max_slice_loss, Margin) else None

    @property
    def size_bytes(self) -> int | None:
        """`max_size` in bytes."""
        return self.max_size if isinstance(self.max_size, int) else None

    @property
    def agreement(self) -> float | None:
        """`min_agreement` in percent."""
        return self.min_agreement if isinstance(self.min_agreement, float) else None

    def limits_of(self, figure: FigureName) -> tuple[OutputLimit, ...]:
        """The limits of one figure of the outputs; empty without any."""
        limits = getattr(self, ERROR_FIGURES[figure].limit)
        return limits or ()

    @property
    def output_limits(self) -> tuple[OutputLimit, ...]:
        """The limits of all figures of the outputs, which need no labels."""
        return tuple(limit for figure in ERROR_FIGURES for limit in self.limits_of(figure))
