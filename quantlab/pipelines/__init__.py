"""The pipelines by which apps turn image files into tensors, run with the libraries that people call."""

from quantlab.pipelines.choice import ChosenPipeline, chosen_pipelines
from quantlab.pipelines.contract import AppPipeline, AppStep, StepKey, StepPlace
from quantlab.pipelines.registry import PIPELINES
from quantlab.pipelines.running import Pixels, StepRun, Unprepared, refuse_absent

__all__ = [
    "PIPELINES",
    "AppPipeline",
    "AppStep",
    "ChosenPipeline",
    "Pixels",
    "StepKey",
    "StepPlace",
    "StepRun",
    "Unprepared",
    "chosen_pipelines",
    "refuse_absent",
]
