"""Compares a stored artifact and an exported model with the hashes in their records."""

from pathlib import Path

from quantlab.errors import QuantlabError
from quantlab.formats import artifact_sha256
from quantlab.models import combined_sha256, files_sha256
from quantlab.registries import Registries
from quantlab.types import FileState, OpenedModel, Variant

__all__ = ["intact_model", "intact_variant", "source_sha256"]


def intact_variant(variant: Variant, registries: Registries) -> FileState:
    """Compare an artifact with the hash in its record."""
    if not variant.path.exists():
        return "missing"
    try:
        return "intact" if artifact_sha256(variant.path, registries.formats) == variant.sha256 else "damaged"
    except QuantlabError:
        return "damaged"


def source_sha256(source: Path, format_name: str | None, registries: Registries) -> str:
    """Hash of the model that converters start from: of all files that an artifact consists of, if it is a folder.

    Args:
        source: The SavedModel, or the artifact.
        format_name: Format of an artifact; None for a SavedModel.
        registries: The known formats; they may lack that of the model, which is then one file.
    """
    format_ = registries.formats.get(format_name) if format_name else None
    return combined_sha256(format_.files(source)) if format_ and format_.entry else files_sha256(source)


def intact_model(opened: OpenedModel, registries: Registries) -> FileState:
    """Compare the model that converters start from with its stored hash."""
    if not opened.source.exists():
        return "missing"
    if not opened.sha256:
        return "no hash"
    try:
        state = source_sha256(opened.source, opened.format, registries)
    except QuantlabError:
        return "damaged"
    return "intact" if state == opened.sha256 else "damaged"
