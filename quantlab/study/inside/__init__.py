"""Compares the inside of variants: layers, weights, ops, and the split of the loss."""

from quantlab.study.inside.comparison import PHASE, LayerStudy
from quantlab.study.inside.look import look_inside

__all__ = ["PHASE", "LayerStudy", "look_inside"]
