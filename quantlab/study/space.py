"""Checks that the disk has space for the outputs of trials, before the trials begin."""

from collections.abc import Sequence

from quantlab.errors import StudyError
from quantlab.gate import are_gone
from quantlab.study.compare import Comparison
from quantlab.study.context import Context
from quantlab.study.keeping import unfit_model
from quantlab.types import NonFinite

__all__ = ["refuse_small_disk", "refuse_staying_outputs"]


def refuse_small_disk(context: Context, trials: int, *, references: int, size: int, at_once: int) -> None:
    """Check the disk before the reference runs.

    Args:
        context: The study's context.
        trials: Number of planned trials.
        references: Number of runs of the reference.
        size: Bytes of the outputs of one run.
        at_once: Number of trials that run at the same time.

    Raises:
        StudyError: If the disk is too small.
    """
    if context.scores is not None and not context.options.variants:
        trials = min(trials, 1 + at_once)  # a baseline, and those that run; all others are removed meanwhile
    # The results of shards lie beside the outputs into which they are joined.
    twice = 0 if context.sharding is None else min(trials, at_once)
    context.store.refuse_too_large((references + trials + twice) * size, f"the outputs of {trials} trials")


def refuse_staying_outputs(
    context: Context, comparison: Comparison, non_finite: Sequence[NonFinite], trials: int, size: int
) -> None:
    """Tell, and check the disk again, where outputs were to be removed while others run, and must stay after all.

    Nothing is asked of a study whose scores were kept before: its rows are taken from them. Of variants of the user,
    the first check knows that they stay.

    Args:
        context: The study's context.
        comparison: The reference, whose outputs are on the disk already.
        non_finite: Where the model is known to be NaN or infinite.
        trials: Number of planned trials.
        size: Bytes of the outputs of one run.

    Raises:
        StudyError: If the disk is too small, or few samples are kept with whole outputs.
    """
    why = None if context.scores is None else unfit_model(comparison, non_finite)
    if why is not None and context.sharding is not None and context.sharding.options.keep_samples == "few":
        raise StudyError(f"{why}; they are read together with their samples, so leave --keep-samples few out")
    if context.scores is None or context.options.variants or are_gone(comparison.reference):
        return
    context.progress.warn(
        why
        or "the outputs of all rows stay until the end, although --store scores was given, because the model is NaN or "
        "infinite on some samples, and it is not sure yet which samples count"
    )
    context.store.refuse_too_large(trials * size, f"the outputs of {trials} trials, which cannot be removed early,")
