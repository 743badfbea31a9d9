"""The loop that makes the table: open, draw, convert, run, compare, keep."""

from quantlab.study.analysis import analyze, load_study
from quantlab.study.bisecting import BisectOptions, bisect_study
from quantlab.study.conversions import convert
from quantlab.study.diagnosis import DiagnoseOptions, diagnose
from quantlab.study.find_hazards import find_hazards
from quantlab.study.hazards import baselines_left_out, lint_study
from quantlab.study.importing import ImportOptions, import_outputs, remove_import
from quantlab.study.inspection import InspectOptions, inspect
from quantlab.study.model_inputs import model_inputs
from quantlab.study.options import AnalyzeOptions, SensitivityOptions, TuneOptions
from quantlab.study.pipelines import PipelineOptions, compare_pipelines
from quantlab.study.reduction import ReduceOptions, reduce_study
from quantlab.study.sensitivity import measure_sensitivity
from quantlab.study.sensitivity_subject import refuse_setting
from quantlab.study.shards import ShardOptions, this_worker
from quantlab.study.shipping import CHECKED, replace_artifact
from quantlab.study.transfer import measure_sizes
from quantlab.study.tuning import UNGUIDED, Tuned, copy_artifacts, read_tuning, tune
from quantlab.study.verification import verify

__all__ = [
    "CHECKED",
    "UNGUIDED",
    "AnalyzeOptions",
    "BisectOptions",
    "DiagnoseOptions",
    "ImportOptions",
    "InspectOptions",
    "PipelineOptions",
    "ReduceOptions",
    "SensitivityOptions",
    "ShardOptions",
    "TuneOptions",
    "Tuned",
    "analyze",
    "baselines_left_out",
    "bisect_study",
    "compare_pipelines",
    "convert",
    "copy_artifacts",
    "diagnose",
    "find_hazards",
    "import_outputs",
    "inspect",
    "lint_study",
    "load_study",
    "measure_sensitivity",
    "measure_sizes",
    "model_inputs",
    "read_tuning",
    "reduce_study",
    "refuse_setting",
    "remove_import",
    "replace_artifact",
    "this_worker",
    "tune",
    "verify",
]
