"""Metrics as users write them, for tests: each runs in a process that imports this module and nothing else of tests."""

import numpy as np


def negative_loss(outputs, labels):
    return float(-np.abs(outputs[:, 0] - labels).mean())


def zero(outputs, labels):
    return 0 * len(outputs) * len(labels)


def raises(_outputs, _labels):
    raise KeyError("no such column")


def returns_rows(outputs, labels):
    return np.stack([outputs[:, 0], labels, labels], axis=1)


def returns_words(_outputs, _labels):
    return "good"


def loses_a_class(_outputs, labels):
    if len(np.unique(labels)) < 2:
        raise ValueError("only one class")
    return 1.0
