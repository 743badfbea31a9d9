"""Whether a reference is sane on its labels: better than guessing, than another order of the classes, than the mean."""

from quantlab.statistics.reference.answers import answers_of
from quantlab.statistics.reference.chance import chance_check
from quantlab.statistics.reference.class_order import class_order, held_out_labels
from quantlab.statistics.reference.softmax import sigmoid_twice, softmax_twice
from quantlab.statistics.reference.targets import target_checks

__all__ = [
    "answers_of",
    "chance_check",
    "class_order",
    "held_out_labels",
    "sigmoid_twice",
    "softmax_twice",
    "target_checks",
]
