"""Preprocessing as data: decoders, resizers and modes by name, each with its formula, and pipelines made of them."""

from quantlab.preprocessing.apply import (
    arranged,
    cropped,
    fitted,
    in_colours,
    opened_decoder,
    placed,
    refuse_absent_decoder,
    sample_of,
    tensor_of,
    values_of,
)
from quantlab.preprocessing.contract import ResizeMethod, Resizer
from quantlab.preprocessing.decoder_contract import Decoder
from quantlab.preprocessing.geometry import ASPECTS, Placement, central_box, placement
from quantlab.preprocessing.modes import FAMILY_MODES, MODES, Mode, mode_of
from quantlab.preprocessing.registry import DECODERS, RESIZERS
from quantlab.preprocessing.resolve import COLOURS, LAYOUTS, METHODS, declared_values, pipeline_for
from quantlab.preprocessing.scales import (
    BYTE_SCALE,
    CAFFE_MEAN,
    IMAGENET_MEAN,
    IMAGENET_STD,
    SYMMETRIC_SCALE,
    UNIT_SCALE,
    WHITE,
    PixelScale,
    standardized,
)
from quantlab.preprocessing.signals import SIGNAL_STEPS, log_mel, mel_weights, resampled, spectrogram
from quantlab.preprocessing.suggest import Suggestion, suggested_mode
from quantlab.preprocessing.words import described, steps_of

__all__ = [
    "ASPECTS",
    "BYTE_SCALE",
    "CAFFE_MEAN",
    "COLOURS",
    "DECODERS",
    "FAMILY_MODES",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "LAYOUTS",
    "METHODS",
    "MODES",
    "RESIZERS",
    "SIGNAL_STEPS",
    "SYMMETRIC_SCALE",
    "UNIT_SCALE",
    "WHITE",
    "Decoder",
    "Mode",
    "PixelScale",
    "Placement",
    "ResizeMethod",
    "Resizer",
    "Suggestion",
    "arranged",
    "central_box",
    "cropped",
    "declared_values",
    "described",
    "fitted",
    "in_colours",
    "log_mel",
    "mel_weights",
    "mode_of",
    "opened_decoder",
    "pipeline_for",
    "placed",
    "placement",
    "refuse_absent_decoder",
    "resampled",
    "sample_of",
    "spectrogram",
    "standardized",
    "steps_of",
    "suggested_mode",
    "tensor_of",
    "values_of",
]
