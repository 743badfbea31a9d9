"""Makes variants: one file a format, and `CONVERTERS`, the table that names them.

A converter runs in a process of its own (`convert_settings` starts it), since it can abort, hang or eat memory, and
since it needs oneDNN off where inference wants it on.
"""

from quantlab_converters.contract import ConversionRequest, Converter, FromArtifact, RecipeRequest
from quantlab_converters.float_layers import Part, plain_scheme
from quantlab_converters.launch import Conversion, convert_settings, preloaded
from quantlab_converters.registry import CONVERTERS

__all__ = [
    "CONVERTERS",
    "Conversion",
    "ConversionRequest",
    "Converter",
    "FromArtifact",
    "Part",
    "RecipeRequest",
    "convert_settings",
    "plain_scheme",
    "preloaded",
]
