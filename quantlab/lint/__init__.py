"""Finds hazards in models and artifacts, without samples."""

from quantlab.lint.contract import Confirmed, Evidence, Hazard, anchor
from quantlab.lint.reading import read_subject
from quantlab.lint.registry import HAZARDS
from quantlab.lint.run import choose_hazards, examine, examine_file, lint, nearest_hazard
from quantlab.lint.subject import Layer, Op, Subject, TensorFacts, WeightFacts

__all__ = [
    "HAZARDS",
    "Confirmed",
    "Evidence",
    "Hazard",
    "Layer",
    "Op",
    "Subject",
    "TensorFacts",
    "WeightFacts",
    "anchor",
    "choose_hazards",
    "examine",
    "examine_file",
    "lint",
    "nearest_hazard",
    "read_subject",
]
