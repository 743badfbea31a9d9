"""The model formats: one folder with a descriptor for each, and the registry `FORMATS`.

Converters, runtimes and the study read artifacts, so this package is a layer below them.
"""

from quantlab.formats.contract import Contents, Format, JavaScriptExecutor, PythonExecutor
from quantlab.formats.describe import (
    ArtifactFiles,
    artifact_files,
    artifact_sha256,
    describe_given,
    describe_runnable,
    describe_variant,
    download_size_of,
    files_not_served,
    format_of,
    note_unquantized,
)
from quantlab.formats.registry import FORMATS

__all__ = [
    "FORMATS",
    "ArtifactFiles",
    "Contents",
    "Format",
    "JavaScriptExecutor",
    "PythonExecutor",
    "artifact_files",
    "artifact_sha256",
    "describe_given",
    "describe_runnable",
    "describe_variant",
    "download_size_of",
    "files_not_served",
    "format_of",
    "note_unquantized",
]
