"""Calls an ONNX file with onnxruntime: `session.run(None, feeds)`, whatever the feeds are."""

from pathlib import Path
from typing import Any

from quantlab.errors import TrialError
from quantlab.models import open_onnx_session
from quantlab.runtimes.exchange import Job
from quantlab.worker.trying import RawCalls

__all__ = ["raw_calls"]


def raw_calls(job: Job) -> RawCalls:
    """Open an `.onnx` file."""
    session = open_onnx_session(Path(job.artifact), TrialError)
    names = [output.name for output in session.get_outputs()]

    def run(feeds: Any) -> list[tuple[str, Any]]:
        return list(zip(names, session.run(None, feeds), strict=True))

    return RawCalls(by_name=lambda arrays: run(dict(arrays)), in_order=lambda arrays: run(list(arrays)))
