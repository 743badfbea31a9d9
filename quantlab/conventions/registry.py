"""The conventions that the probe tries. Of equal results, that of the earlier family is named."""

from quantlab.conventions.class_order import CLASS_ORDER
from quantlab.conventions.colour_order import COLOUR_ORDER
from quantlab.conventions.contract import InputFamily, LabelFamily, OutputFamily
from quantlab.conventions.double_rescaling import DOUBLE_RESCALING
from quantlab.conventions.inverted import INVERTED
from quantlab.conventions.layout import LAYOUT
from quantlab.conventions.mean_std import MEAN_STD
from quantlab.conventions.off_by_one import OFF_BY_ONE
from quantlab.conventions.output_order import OUTPUT_ORDER
from quantlab.conventions.scale import SCALE
from quantlab.conventions.softmax import SOFTMAX
from quantlab.conventions.transposed import TRANSPOSED

__all__ = ["INPUT_FAMILIES", "LABEL_FAMILIES", "OUTPUT_FAMILIES"]

INPUT_FAMILIES: tuple[InputFamily, ...] = (
    DOUBLE_RESCALING,
    SCALE,
    MEAN_STD,
    COLOUR_ORDER,
    LAYOUT,
    TRANSPOSED,
    INVERTED,
)

LABEL_FAMILIES: tuple[LabelFamily, ...] = (OFF_BY_ONE, CLASS_ORDER)

OUTPUT_FAMILIES: tuple[OutputFamily, ...] = (SOFTMAX, OUTPUT_ORDER)
