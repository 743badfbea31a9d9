"""A TFLite file quantized by ai_edge_quantizer's own recipe: `bare_quantize.py FLOAT32.tflite OUT.tflite`.

Weights in 8 bits, activations in float, as the converter's dynamic range. Its validator refuses many pairs of the
official converter's files, in which one name stands for constants of two sizes; a file of its own it accepts.
"""

import sys

from ai_edge_quantizer import quantizer, recipe

made = quantizer.Quantizer(sys.argv[1], recipe.dynamic_wi8_afp32()).quantize()
made.export_model(sys.argv[2], overwrite=True)
