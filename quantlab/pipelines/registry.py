"""The pipelines that people use, by name."""

from collections.abc import Mapping

from quantlab.pipelines import chromium, node, python, sharp
from quantlab.pipelines.contract import AppPipeline

__all__ = ["PIPELINES"]

PIPELINES: Mapping[str, AppPipeline] = {
    pipeline.name: pipeline for host in (python, node, sharp, chromium) for pipeline in host.PIPELINES
}
"""Name → pipeline, in the order of the tables."""
