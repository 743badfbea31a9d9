"""Why a setting cannot be made from a model: its kind, or how an artifact stores its weights."""

from quantlab.models import ModelFile
from quantlab.names import shortened
from quantlab.registries import Registries
from quantlab.types import Setting

__all__ = ["why_not_made"]

_NAMED = 3
"""More settings than these that can be made are only counted."""


def why_not_made(setting: Setting, file: ModelFile, registries: Registries) -> str | None:
    """The reason, with what to do; None if the setting can be made.

    Args:
        setting: What is asked for.
        file: The model.
        registries: The known formats and converters.
    """
    give = f"give the model that '{file.path.name}' was exported from, or leave this setting out"
    if not registries.takes(setting, file.kind):
        others = [
            one.name
            for one in registries.formats[setting.format].settings
            if not one.tuned and registries.takes(one, file.kind)
        ]
        if not others:
            return (
                f"{setting.format} is made from TensorFlow models, and no maintained converter makes it from "
                f"{file.kind}; {give}"
            )
        return (
            f"{setting.name} is made from TensorFlow models, and from {file.kind} only "
            f"{shortened(others, most=_NAMED)}; {give}"
        )
    if file.quantized and setting.quantized:
        return (
            f"'{file.path.name}' already stores weights in {file.quantized}, so {setting.name} would quantize them "
            f"twice; {give}"
        )
    return None
