"""Opens a model of any supported kind as the reference that every variant is compared with."""

from quantlab.models.artifacts import as_artifact, narrow_dtypes
from quantlab.models.files import (
    KerasConfig,
    ModelFile,
    ModelOptions,
    combined_sha256,
    files_sha256,
    identify,
    read_keras_config,
)
from quantlab.models.onnx import open_onnx_session
from quantlab.models.opening import open_reference, opens
from quantlab.models.rebuilt import rebuilt_model
from quantlab.models.reference import KerasCalls, Reference

__all__ = [
    "KerasCalls",
    "KerasConfig",
    "ModelFile",
    "ModelOptions",
    "Reference",
    "as_artifact",
    "combined_sha256",
    "files_sha256",
    "identify",
    "narrow_dtypes",
    "open_onnx_session",
    "open_reference",
    "opens",
    "read_keras_config",
    "rebuilt_model",
]
