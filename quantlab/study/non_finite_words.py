"""Sentences about a model that is itself NaN or infinite, which stand before everything else that is said."""

import re

from quantlab.names import counted, shortened
from quantlab.samples import told
from quantlab.types import NonFinite, Trial

__all__ = [
    "calibration_reason",
    "calibration_warning",
    "explained_failure",
    "left_out_note",
    "output_warning",
    "unsearched_warning",
]

_NAMED_WEIGHTS = 3
_CALLS = re.compile(r"^((Stateful)?PartitionedCall(_\d+)?/)+")
"""The function calls that a signature of a SavedModel puts before every name."""


def output_warning(finding: NonFinite, scored: str) -> str:
    """The warning about one output of the reference, or about its inside where the output does not show it.

    Args:
        finding: Of scored samples.
        scored: The scored output: only samples on which this one is not finite are left out of scores.
    """
    if finding.output:
        what = f"the model itself is not finite: its output '{finding.output}' is NaN or infinite on {_which(finding)}"
    else:
        what = f"the model itself is NaN inside on {_which(finding)}, though its output is not"
    what += _because(finding)
    if finding.samples == finding.of:
        return f"{what}; nothing can be compared with that, so correct the model"
    left_out = "no score includes these samples, so " if finding.output in {"", scored} else ""
    return f"{what}; {left_out}correct the model, or remove the samples"


def calibration_warning(finding: NonFinite) -> str:
    """The warning about calibration samples that make the model infinite inside."""
    return f"{calibration_reason(finding)}; {_remedy(finding)}"


def unsearched_warning(reason: str) -> str:
    """The warning that calibration samples were not looked at, because the model cannot be read inside."""
    return (
        f"it was not checked whether calibration samples make the model NaN or infinite inside, because its tensors "
        f"cannot be read: {reason}"
    )


def calibration_reason(finding: NonFinite) -> str:
    """Why static quantization has no range, as a clause."""
    return (
        f"the model itself is NaN or infinite inside on {_which(finding)}{_because(finding)}, so static quantization "
        f"finds no finite range"
    )


def explained_failure(finding: NonFinite, reason: str, *, died: bool) -> str:
    """The reason of a failed conversion with calibration, with what the calibration samples do to the model.

    Args:
        finding: Of the calibration samples.
        reason: What the converter said, or how its process ended.
        died: Whether its process ended without a word of its own.
    """
    if died:
        return f"{calibration_reason(finding)}, and the converter died of it: {reason}; {_remedy(finding)}"
    return f"{reason}; besides, {calibration_warning(finding)}"


def left_out_note(trial: Trial) -> list[str]:
    """The note of a row that is finite where the model is not; nothing if it is not finite in the same places."""
    scores = trial.scores
    if scores is None or not scores.left_out or scores.left_out_equal is None:
        return []
    other = scores.left_out - scores.left_out_equal
    if not other:
        return []
    places = f"on {other:,} of {scores.left_out:,} samples that are left out"
    return [f"NaN or infinite in other places than the model's output {places}"]


def _which(finding: NonFinite) -> str:
    of = counted(finding.of, "calibration sample" if finding.among == "calibration" else "sample")
    if finding.samples == finding.of:
        return f"all {of} of '{finding.names.source}'"
    return f"{finding.samples:,} of {of} ({told(finding.names, finding.samples)})"


def _because(finding: NonFinite) -> str:
    if finding.weights:
        named = shortened([_weight(text) for text in finding.weights], most=_NAMED_WEIGHTS)
        return f", because of its {'weight' if len(finding.weights) == 1 else 'weights'} {named}"
    if finding.first_tensor is None:
        return ""
    layer = f" of the layer '{finding.first_layer}'" if finding.first_layer else ""
    return f", first in the tensor '{_CALLS.sub('', finding.first_tensor)}'{layer}"


def _weight(text: str) -> str:
    """`norm/gamma: 1 of 8 NaN` as a part of a sentence."""
    name, _, counted = text.rpartition(": ")
    bad, _, rest = counted.partition(" of ")
    values, _, kind = rest.partition(" ")
    return f"'{name}' ({bad} of {values} values {'is' if bad == '1' else 'are'} {kind})"


def _remedy(finding: NonFinite) -> str:
    return "correct the model" if finding.samples == finding.of else "remove these samples, or correct the model"
