"""The sentences of a diagnosis: the cause, and the change to make."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.names import counted, shortened
from quantlab.statistics import sigmoid_twice, softmax_twice
from quantlab.study.app_words import reproduced
from quantlab.study.diagnosis.probe import LARGEST_P
from quantlab.types import Diagnosis, Interval, TriedConvention

__all__ = ["headline", "note_on_labels", "note_on_resize", "notes_on_output"]

_NAMED = 3
"""Conventions that are as good as the best which a sentence names at most."""


_MOST_P_TOLD = 0.5
"""Largest corrected p-value of a convention that is not named as the cause, and yet mentioned."""


_ENOUGH = {
    "top1": "make a fifth of the wrong answers right or take away a twentieth of the log loss, and score above the "
    "most frequent class",
    "r2": "take away half of the squared error, and predict better than the mean",
}
"""What explains enough, by the metric: in words, what `Truth.explained` computes."""


def headline(diagnosis: Diagnosis) -> str:
    """What the outputs of an app and the labels say, in a sentence or two for each."""
    said = [_of_app(diagnosis)] if diagnosis.app else []
    if diagnosis.metric is not None or not said:
        said.append(_of_labels(diagnosis))
    return ". ".join(said)


def notes_on_output(outputs: npt.NDArray[Any], output: str) -> list[str]:
    """What the values of an output of classes tell about its activation, which changes no top-1; mostly nothing.

    Args:
        outputs: (n, classes), or (n, 1) or (n,) of a binary classifier: what the model gives for the samples.
        output: Name of the output.
    """
    low, high = (float(value) for value in (outputs.min(initial=np.inf), outputs.max(initial=-np.inf)))
    if softmax_twice(outputs):
        twice = (
            f"every row of the output '{output}' is the softmax of probabilities, so softmax was applied twice: its "
            f"values lie in {low:.3f}…{high:.3f}. That changes no top-1, but every confidence, and training with it is "
            f"slow; remove one of the two"
        )
        return [twice]
    if outputs.size == len(outputs) and sigmoid_twice(outputs):
        twice = (
            f"the output '{output}' lies in {low:.3f}…{high:.3f}, as sigmoids of probabilities do, so every sample is "
            f"above 0.5; remove one of two sigmoids, or compare with 0.622"
        )
        return [twice]
    return []


def note_on_labels(labels: npt.NDArray[np.int64], classes: int) -> list[str]:
    """What labels tell that are no classes of an output; mostly nothing.

    Args:
        labels: (n,), at least one.
        classes: Number of the model's classes.
    """
    outside = int(np.count_nonzero((labels < 0) | (labels >= classes)))
    if not outside:
        return []
    return [
        (
            f"{counted(outside, 'label')} of {len(labels):,} {'is' if outside == 1 else 'are'} no class of the output: "
            f"the labels go from {labels.min()} to {labels.max()}, and the output has "
            f"{counted(classes, 'class', 'classes')}"
        )
    ]


def note_on_resize(diagnosis: Diagnosis) -> list[str]:
    """That no convention is a resize, and what compares resizes, if the labels name nothing.

    Args:
        diagnosis: Of a folder.
    """
    if diagnosis.named is not None or diagnosis.app:  # what is said of an app names the command, too
        return []
    return [
        (
            f"another resize was not tried: no change of the samples brings back what a resize has lost. 'quantlab "
            f"diagnose {diagnosis.model} --data {diagnosis.data} --pipelines all', with the same options of "
            f"preprocessing, compares how apps resize these files"
        )
    ]


def _of_app(diagnosis: Diagnosis) -> str:
    best = diagnosis.app[0]
    as_is = next(one for one in diagnosis.app if not one.family)
    if math.isinf(as_is.max_abs) and not best.named:
        return (
            "The outputs of the app, or those of the model, are NaN or infinite for some samples, so no convention "
            "reproduces them; look at these samples first"
        )
    if as_is.equal:
        return (
            f"The app computes what the model does in Python on these samples (largest difference "
            f"{as_is.max_abs:.3g}), so its preprocessing is theirs"
        )
    if best.named:
        return reproduced(best, as_is)
    return (
        f"None of {counted(len(diagnosis.app) - 1, 'convention')} reproduces the outputs of the app; with the samples "
        f"as they are, the largest difference is {as_is.max_abs:.3g}"
        + ("" if as_is.same_top1 is None else f", and the top-1 is the same on {as_is.same_top1:.1f} % of the samples")
        + ("; --pipelines all tries how apps decode and resize photos" if Path(diagnosis.data).is_dir() else "")
    )


def _of_labels(diagnosis: Diagnosis) -> str:
    if diagnosis.metric is None or diagnosis.score is None:
        return (
            f"'{diagnosis.data}' has no labels that the output '{diagnosis.output}' can be compared with, so nothing "
            f"tells whether the samples are preprocessed as in training; give labels (y in a .npz, or --labels FILE), "
            f"or the outputs of an app with --app"
        )
    named = diagnosis.named
    if named is None:
        return _nothing(diagnosis)
    return (
        f"{_begun(named)}: {_scored(diagnosis.metric, diagnosis.score, diagnosis.interval)} as they are, and "
        f"{_scored(diagnosis.metric, named.score, named.interval)} with the change{_by_log_loss(diagnosis, named)}. To "
        f"correct it, {named.change}"
        f"{_equally_good(diagnosis.tried, named)}"
    )


def _by_log_loss(diagnosis: Diagnosis, named: TriedConvention) -> str:
    """By what a convention is named that the right answers alone do not show."""
    if named.grounds != ("log-loss",):
        return ""
    return (
        f". These answers alone do not show it (corrected p-value {named.p:.2g}), but the probabilities of the labels "
        f"do: the log loss is {named.log_loss:.3g} instead of {diagnosis.log_loss:.3g} (corrected p-value "
        f"{named.p_log_loss:.2g})"
    )


def _begun(named: TriedConvention) -> str:
    return f"{named.cause[0].upper()}{named.cause[1:]}"


def _scored(metric: str, score: float, interval: Interval | None) -> str:
    if metric == "r2":
        return f"R² {score:.3g}".replace("-", "−").replace("inf", "∞")
    ends = "" if interval is None else f" [{interval.lower:.1f}, {interval.upper:.1f}]"
    return f"{score:.1f} %{ends} right"


def _nothing(diagnosis: Diagnosis) -> str:
    return (
        f"No other convention makes more of the samples right beyond chance: as they are, "
        f"{_scored(str(diagnosis.metric), diagnosis.score or 0.0, diagnosis.interval)}, and "
        f"{counted(len(diagnosis.tried), 'convention was', 'conventions were')} tried (to be named, one must have "
        f"a corrected p-value of at most {LARGEST_P:g}, {_ENOUGH[str(diagnosis.metric)]}){_best_of(diagnosis)}"
    )


def _best_of(diagnosis: Diagnosis) -> str:
    """The convention that gains most, if it gains by itself: more samples may decide about it."""
    best = next((one for one in diagnosis.tried if one.n == diagnosis.n), None)
    if best is None:
        return ""
    of_log_loss = 1.0 if best.p_log_loss is None else best.p_log_loss
    if of_log_loss > _MOST_P_TOLD and (best.became_right <= best.became_wrong or best.p > _MOST_P_TOLD):
        return ""
    more = "; more samples may decide, see --limit" if diagnosis.available > diagnosis.n else ""
    log_loss = (
        ""
        if best.log_loss is None or diagnosis.log_loss is None
        else f", and a log loss of {best.log_loss:.3g} instead of {diagnosis.log_loss:.3g}, corrected p-value "
        f"{of_log_loss:.2g}"
    )
    return (
        f". Nearest to it comes '{best.name}': {best.became_right:,} more right and {best.became_wrong:,} more wrong, "
        f"corrected p-value {best.p:.2g}{log_loss}{more}"
    )


def _equally_good(tried: Sequence[TriedConvention], named: TriedConvention) -> str:
    """Conventions whose interval holds the score of the best one: these samples do not tell them apart."""
    others = [
        f"'{one.name}' ({one.score:.1f} %)"
        for one in tried
        if one.named and one is not named and one.interval is not None and one.interval.upper >= named.score
    ]
    return "" if not others else f". These samples do not tell it apart from {shortened(others, most=_NAMED)}"
