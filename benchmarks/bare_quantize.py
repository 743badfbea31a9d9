"""A TFLite file quantized by ai_edge_quantizer's own recipe: `bare_quantize.py FLOAT32.tflite OUT.tflite`.

Weights have 8 bits and activations are float, like dynamic range quantization. The validator of ai_edge_quantizer
refuses many files of the official converter, in which two constants of different sizes have the same name; it accepts
its own files.
"""

import sys

from ai_edge_quantizer import quantizer, recipe

made = quantizer.Quantizer(sys.argv[1], recipe.dynamic_wi8_afp32()).quantize()
made.export_model(sys.argv[2], overwrite=True)
