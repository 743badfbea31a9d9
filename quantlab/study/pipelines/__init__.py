"""The pipelines of apps beside the declared preprocessing: differences, their effect on the model, and their cause."""

from quantlab.study.pipelines.compare import compare_pipelines
from quantlab.study.pipelines.options import PipelineOptions

__all__ = ["PipelineOptions", "compare_pipelines"]
