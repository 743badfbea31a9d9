"""What it means that the first samples gave other outputs when they ran once more after the last one."""

from collections.abc import Sequence

from quantlab.names import counted
from quantlab.types import STRAY_LIMIT, Repeated, Trial

__all__ = ["repeat_notes", "warn_of_state"]

_OTHER_WAYS = {
    "again": "when the first samples ran again after the last one",
    "alone": "when the first samples ran alone, not in a batch",
    "columns": "when the first samples were sent as columns ('inputs'), not as rows ('instances')",
}


def repeat_notes(repeated: Sequence[Repeated]) -> tuple[str, ...]:
    """Notes for a row, on each way in which the first samples gave other outputs; none where they gave the same.

    >>> repeat_notes([Repeated("again", 32, 3, 0.25, 1.0), Repeated("alone", 32, 0, 0.0, 1.0)])
    ('other outputs for 3 of 32 samples when the first samples ran again after the last one (by up to 0.25)',)
    """
    return tuple(
        f"other outputs for {one.differing:,} of {counted(one.samples, 'sample')} {_OTHER_WAYS[one.way]} "
        f"({_by_up_to(one)})"
        for one in repeated
        if one.differing
    )


def _by_up_to(repeated: Repeated) -> str:
    if repeated.largest is None:
        return "NaN or infinite in one of the two runs"
    return f"by up to {repeated.largest:.2g}"


def warn_of_state(reference: Trial, trials: Sequence[Trial], *, repeatable: bool) -> list[str]:
    """A sentence about all rows, and the model itself, whose outputs depend on the calls before.

    Differences of up to `STRAY_LIMIT` of the largest output have a note in their row alone: the last bits of sums may
    depend on the order of threads. So has a row whose outputs differ only in another batch or form of a request.

    Args:
        reference: The row of the model itself.
        trials: The other rows.
        repeatable: Whether a second call of the model on the same samples gave the same outputs; if it did not, another
            warning says so, and the rows cannot be blamed.
    """
    if not repeatable:
        return []
    if (own := _state(reference)) is not None:
        return [
            (
                f"the model keeps a state between calls: {_figure(own)}; its figures, and those of every row, hold "
                f"only for this order of the samples, so reset the state at the start of each call, or remove it"
            )
        ]
    changed = [(trial, one) for trial in trials if (one := _state(trial)) is not None]
    if not changed:
        return []
    rows = "; ".join(f"{trial.setting} in {trial.runtime}: {_figure(one)}" for trial, one in changed[:_NAMED])
    more = f" and {len(changed) - _NAMED:,} more" if len(changed) > _NAMED else ""
    those = "this row hold" if len(changed) == 1 else "these rows hold"
    return [
        (
            f"outputs depend on the calls before, though the model's do not ({rows}{more}): the figures of {those} "
            f"only for this order of the samples, and an app with another order of calls gets other outputs; the cause "
            f"is the runtime, or a state in the variant"
        )
    ]


_NAMED = 3


def _state(trial: Trial) -> Repeated | None:
    return next((one for one in trial.repeated if one.way == "again" and one.share > STRAY_LIMIT), None)


def _figure(repeated: Repeated) -> str:
    return (
        f"{repeated.differing:,} of its first {counted(repeated.samples, 'sample')} gave other outputs when they ran "
        f"again after the last one ({_by_up_to(repeated)})"
    )
