"""Compares a stored artifact and an exported model with the hashes in their records."""

from quantlab.errors import QuantlabError
from quantlab.formats import artifact_sha256
from quantlab.models import files_sha256
from quantlab.registries import Registries
from quantlab.types import FileState, OpenedModel, Variant

__all__ = ["intact_model", "intact_variant"]


def intact_variant(variant: Variant, registries: Registries) -> FileState:
    """Compare an artifact with the hash in its record."""
    if not variant.path.exists():
        return "missing"
    try:
        return "intact" if artifact_sha256(variant.path, registries.formats) == variant.sha256 else "damaged"
    except QuantlabError:
        return "damaged"


def intact_model(opened: OpenedModel) -> FileState:
    """Compare the model that converters start from with its stored hash."""
    if not opened.source.exists():
        return "missing"
    if not opened.sha256:
        return "no hash"
    return "intact" if files_sha256(opened.source) == opened.sha256 else "damaged"
