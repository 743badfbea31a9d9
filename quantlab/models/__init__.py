"""Opens a model, whatever wrote it, as the reference that every variant is compared with."""

from quantlab.models._files import ModelFile, ModelOptions, identify
from quantlab.models._open import Reference, open_reference

__all__ = ["ModelFile", "ModelOptions", "Reference", "identify", "open_reference"]
