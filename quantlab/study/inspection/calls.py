"""Makes every attempt on one subject, and compares each answer with that of the right call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import QuantlabError
from quantlab.formats.affine import decode
from quantlab.study.attempts.contract import Attempt, AttemptFamily, Passed, RightInputs, fed
from quantlab.study.inspection.feeding import FedSamples, ValueRange, ranges_of, right_inputs
from quantlab.study.inspection.outcomes import ComparedAnswer, compare_answers
from quantlab.study.inspection.subjects import Subject
from quantlab.study.inspection.trying import Answer, Caller
from quantlab.types.inspection import RIGHT_CALL, TriedCall
from quantlab.types.reference import STRAY_LIMIT

__all__ = ["SubjectCalls", "calls_of"]

Array = npt.NDArray[Any]
Arrays = tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class SubjectCalls:
    """The rows of one subject, and what its right call answered."""

    rows: tuple[TriedCall, ...]
    outputs: Mapping[str, Array]
    """Name of an output in the model → the right answer in the file's own dtype; empty if the right call failed."""
    ranges: Mapping[str, ValueRange]
    """The same names → range of the answer."""


class _RightCallFailed(Exception):
    """The right call was refused, so that there is nothing to compare with."""


def calls_of(
    caller: Caller, samples: FedSamples, families: Mapping[str, AttemptFamily], model: Mapping[str, Array] | None
) -> SubjectCalls:
    """Make the right call and every attempt.

    Args:
        caller: Calls the subject.
        samples: What is fed.
        families: The families of attempts.
        model: The model's answers to the same samples, with which the right call is compared; None without a model.
    """
    subject = caller.subject
    try:
        right = right_inputs(subject, samples)
        right_call = _RightCall(caller, right)
        answers = right_call.answers([right.arrays])
        right_outputs = _by_name(subject, answers[0])
        rows = [_right_row(subject, right, right_outputs, model)]
        rows += _attempted(caller, right_call, right, families)
    except _RightCallFailed as error:
        return SubjectCalls((_refused(subject, RIGHT_CALL, "the right call", str(error)),), {}, {})
    except QuantlabError as error:
        return SubjectCalls((_refused(subject, RIGHT_CALL, "open it", str(error)),), {}, {})
    return SubjectCalls(tuple(rows), right_outputs, ranges_of(right_outputs))


def _attempted(
    caller: Caller, right_call: "_RightCall", right: RightInputs, families: Mapping[str, AttemptFamily]
) -> list[TriedCall]:
    attempts = [(family, attempt) for family, make in families.items() for attempt in make(right)]
    answers = right_call.answers([attempt.right for _, attempt in attempts])
    tried = caller.call([(attempt.feeds, attempt.passed or right_call.passed) for _, attempt in attempts])
    return [
        _row(caller.subject, family, attempt, answer, expected)
        for (family, attempt), answer, expected in zip(attempts, tried, answers, strict=True)
    ]


class _RightCall:
    """The right call: batches of the subject's own size, one after another; equal ones are made only once."""

    def __init__(self, caller: Caller, right: RightInputs) -> None:
        self._caller, self._right = caller, right
        self._known: dict[tuple[bytes, ...], Answer] = {}
        self.passed = self._way()

    def _way(self) -> Passed:
        """How inputs are passed: by name, or in order where the library takes no names.

        Raises:
            _RightCallFailed: If it answers to neither.
        """
        unit = self._units(self._right.arrays)[0]
        ways: tuple[Passed, Passed] = ("by name", "in order")
        for way, answer in zip(ways, self._caller.call([(fed(self._right, unit), way) for way in ways]), strict=True):
            if answer.refused is None:
                return way
            refused = answer.refused
        raise _RightCallFailed(refused)

    def answers(self, fed_arrays: Sequence[Arrays]) -> list[Arrays]:
        """Return the outputs of the right calls for each group of arrays, joined along the batch.

        Raises:
            _RightCallFailed: If one is refused.
        """
        units = {_key(unit): unit for arrays in fed_arrays for unit in self._units(arrays)}
        missing = {key: unit for key, unit in units.items() if key not in self._known}
        made = self._caller.call([(fed(self._right, unit), self.passed) for unit in missing.values()])
        for key, answer in zip(missing, made, strict=True):
            if answer.refused is not None:
                raise _RightCallFailed(answer.refused)
            self._known[key] = answer
        return [self._joined(arrays) for arrays in fed_arrays]

    def _units(self, arrays: Arrays) -> list[Arrays]:
        unit = self._right.unit
        return [tuple(values[i : i + unit] for values in arrays) for i in range(0, len(arrays[0]), unit)]

    def _joined(self, arrays: Arrays) -> Arrays:
        units = self._units(arrays)
        if not units:  # an empty batch: the right answer has the shape of any other, with no samples
            first = next(iter(self._known.values()))
            return tuple(values[:0] for _, values in first.outputs)
        parts = [self._known[_key(unit)].outputs for unit in units]
        return tuple(_concatenated([part[place][1] for part in parts]) for place in range(len(parts[0])))


def _key(arrays: Arrays) -> tuple[bytes, ...]:
    return tuple(values.tobytes() for values in arrays)


def _concatenated(parts: Sequence[Array]) -> Array:
    joined: Array = np.concatenate(parts) if parts[0].ndim else np.stack(parts)
    return joined


def _by_name(subject: Subject, outputs: Arrays) -> dict[str, Array]:
    """Outputs in the subject's order under the model's names."""
    places = {port.position: port.name for port in subject.outputs}
    return {places.get(place, str(place)): values for place, values in enumerate(outputs)}


def _right_row(
    subject: Subject, right: RightInputs, outputs: Mapping[str, Array], model: Mapping[str, Array] | None
) -> TriedCall:
    words = f"{right.unit} of {' and '.join(f'{one.values.dtype.name} {one.values.shape[1:]}' for one in right.inputs)}"
    codes = {port.name: port.codes for port in subject.outputs}
    shared = [name for name in outputs if model is not None and name in model]
    if model is None or not shared:
        return TriedCall(subject.artifact, subject.runtime, RIGHT_CALL, words, "same answer")
    count = min(len(model[name]) for name in shared)
    comparison = compare_answers(
        [decode(outputs[name], codes.get(name))[:count] for name in shared],
        [model[name][:count] for name in shared],
        limit=STRAY_LIMIT,
    )
    return _compared_row(subject, RIGHT_CALL, f"{words}, beside the model", comparison)


def _row(subject: Subject, family: str, attempt: Attempt, answer: Answer, right: Arrays) -> TriedCall:
    if answer.refused is not None:
        return _refused(subject, family, attempt.call, answer.refused)
    comparison = compare_answers([values for _, values in answer.outputs], right)
    return _compared_row(subject, family, attempt.call, comparison)


def _compared_row(subject: Subject, family: str, call: str, comparison: ComparedAnswer) -> TriedCall:
    return TriedCall(
        subject.artifact,
        subject.runtime,
        family,
        call,
        comparison.outcome,
        comparison.detail,
        comparison.largest_difference,
        comparison.same_top1,
        comparison.samples,
    )


def _refused(subject: Subject, family: str, call: str, reason: str) -> TriedCall:
    return TriedCall(subject.artifact, subject.runtime, family, call, "refused", reason)
