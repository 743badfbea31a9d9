"""Opens a model, whatever wrote it, as the reference that every variant is compared with."""

from quantlab.models._files import KerasConfig, ModelFile, ModelOptions, identify, read_keras_config
from quantlab.models._open import Reference, open_reference

__all__ = ["KerasConfig", "ModelFile", "ModelOptions", "Reference", "identify", "open_reference", "read_keras_config"]
