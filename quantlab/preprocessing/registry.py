"""The decoders and resizers by name."""

from collections.abc import Mapping

from quantlab.preprocessing.contract import Resizer
from quantlab.preprocessing.decoder_contract import Decoder
from quantlab.preprocessing.decoders import opencv as opencv_decoder
from quantlab.preprocessing.decoders import pillow as pillow_decoder
from quantlab.preprocessing.decoders import tensorflow as tensorflow_decoder
from quantlab.preprocessing.resizers import opencv, pillow, tensorflow, tfjs

__all__ = ["DECODERS", "RESIZERS"]

DECODERS: Mapping[str, Decoder] = {
    "pillow": pillow_decoder.PILLOW,
    "tf": tensorflow_decoder.TENSORFLOW,
    "opencv": opencv_decoder.OPENCV,
}
"""Name → decoder, the default first."""

RESIZERS: Mapping[str, Resizer] = {
    "pillow": pillow.PILLOW,
    "pillow-12": pillow.PILLOW_12,
    "torchvision": pillow.TORCHVISION,
    "tf": tensorflow.TF,
    "tf-antialias": tensorflow.TF_ANTIALIAS,
    "opencv": opencv.OPENCV,
    "tfjs": tfjs.TFJS,
    "tfjs-half-pixel": tfjs.TFJS_HALF_PIXEL,
    "tfjs-align-corners": tfjs.TFJS_ALIGN_CORNERS,
}
"""Name → resize functions, the default first."""
