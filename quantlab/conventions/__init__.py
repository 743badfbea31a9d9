"""Conventions by which samples and labels may be read: scale, colour order, layout, class order and others.

A model that was trained with one convention and is fed with another answers wrongly, and nothing fails. The probe of
`quantlab diagnose` tries each convention on the float model.
"""

from quantlab.conventions.contract import (
    Answers,
    InputConvention,
    InputFacts,
    InputFamily,
    LabelConvention,
    LabelFamily,
    OutputConvention,
    OutputFacts,
    OutputFamily,
)
from quantlab.conventions.registry import INPUT_FAMILIES, LABEL_FAMILIES, OUTPUT_FAMILIES
from quantlab.conventions.rescalings import PIXEL_RESCALINGS, Rescaling

__all__ = [
    "INPUT_FAMILIES",
    "LABEL_FAMILIES",
    "OUTPUT_FAMILIES",
    "PIXEL_RESCALINGS",
    "Answers",
    "InputConvention",
    "InputFacts",
    "InputFamily",
    "LabelConvention",
    "LabelFamily",
    "OutputConvention",
    "OutputFacts",
    "OutputFamily",
    "Rescaling",
]
