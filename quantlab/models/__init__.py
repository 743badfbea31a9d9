"""Opens a model of any supported kind as the reference that every variant is compared with."""

from quantlab.models.files import KerasConfig, ModelFile, ModelOptions, files_sha256, identify, read_keras_config
from quantlab.models.onnx import open_onnx_session
from quantlab.models.opening import open_reference
from quantlab.models.reference import KerasCalls, Reference

__all__ = [
    "KerasCalls",
    "KerasConfig",
    "ModelFile",
    "ModelOptions",
    "Reference",
    "files_sha256",
    "identify",
    "open_onnx_session",
    "open_reference",
    "read_keras_config",
]
