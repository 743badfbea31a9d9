"""What is known of each format: a folder each with its descriptor, and `FORMATS`, the registry that names them.

Converters, runtimes and the study read artifacts, so this lies below them.
"""

from quantlab.formats.contract import Contents, Format, JavaScriptExecutor, PythonExecutor
from quantlab.formats.describe import artifact_sha256, describe_given, describe_variant, download_size_of
from quantlab.formats.registry import FORMATS

__all__ = [
    "FORMATS",
    "Contents",
    "Format",
    "JavaScriptExecutor",
    "PythonExecutor",
    "artifact_sha256",
    "describe_given",
    "describe_variant",
    "download_size_of",
]
