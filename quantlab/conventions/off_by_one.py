"""The labels are counted from 1 where the model counts from 0, or the reverse."""

from collections.abc import Iterator

from quantlab.conventions.contract import Answers, LabelConvention, LabelFamily

__all__ = ["OFF_BY_ONE"]

_NAME = "off-by-one"


def _conventions(answers: Answers) -> Iterator[LabelConvention]:
    yield LabelConvention(
        _NAME,
        "labels − 1",
        "the labels are one too high: they count from 1, or a class was added in front",
        "give y - 1",
        answers.labels - 1,
    )
    yield LabelConvention(
        _NAME,
        "labels + 1",
        "the labels are one too low: the model has a class in front, such as a background, which they do not count",
        "give y + 1",
        answers.labels + 1,
    )


OFF_BY_ONE = LabelFamily(_NAME, _conventions)
