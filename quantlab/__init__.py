"""quantlab measures which quantization settings of a model are good enough to ship.

>>> import quantlab
>>> sorted(quantlab.__all__)[:3]
['AnalyzeOptions', 'Budget', 'ContractSheet']

Public names are imported on first access (PEP 562), so that importing quantlab is fast.
"""

# Nothing is imported here: `python -m quantlab` would find it in the current folder first (see `quantlab.__main__`).
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from quantlab.errors import QuantlabError as QuantlabError
    from quantlab.gate import judge as judge
    from quantlab.gate import recommend as recommend
    from quantlab.models import ModelOptions as ModelOptions
    from quantlab.settings import SETTINGS as SETTINGS
    from quantlab.study import AnalyzeOptions as AnalyzeOptions
    from quantlab.study import DiagnoseOptions as DiagnoseOptions
    from quantlab.study import ImportOptions as ImportOptions
    from quantlab.study import InspectOptions as InspectOptions
    from quantlab.study import PipelineOptions as PipelineOptions
    from quantlab.study import ReduceOptions as ReduceOptions
    from quantlab.study import SensitivityOptions as SensitivityOptions
    from quantlab.study import ShardOptions as ShardOptions
    from quantlab.study import TuneOptions as TuneOptions
    from quantlab.study import analyze as analyze
    from quantlab.study import compare_pipelines as compare_pipelines
    from quantlab.study import convert as convert
    from quantlab.study import diagnose as diagnose
    from quantlab.study import find_hazards as find_hazards
    from quantlab.study import import_outputs as import_outputs
    from quantlab.study import inspect as inspect
    from quantlab.study import load_study as load_study
    from quantlab.study import measure_sensitivity as measure_sensitivity
    from quantlab.study import measure_sizes as measure_sizes
    from quantlab.study import read_tuning as read_tuning
    from quantlab.study import reduce_study as reduce_study
    from quantlab.study import remove_import as remove_import
    from quantlab.study import tune as tune
    from quantlab.tab import write_page as write_page
    from quantlab.types import Budget as Budget
    from quantlab.types import Diagnosis as Diagnosis
    from quantlab.types import PipelineComparison as PipelineComparison
    from quantlab.types import Preprocessing as Preprocessing
    from quantlab.types import Recommendation as Recommendation
    from quantlab.types import Sensitivity as Sensitivity
    from quantlab.types import Study as Study
    from quantlab.types import Trial as Trial
    from quantlab.types import Verdict as Verdict
    from quantlab.types.inspection import ContractSheet as ContractSheet
    from quantlab.types.lint import LintResult as LintResult
    from quantlab.types.reduction import Reduction as Reduction
    from quantlab_reports.api import report as report
    from quantlab_reports.api import to_dataframe as to_dataframe

_HOMES = {
    "AnalyzeOptions": "quantlab.study",
    "Budget": "quantlab.types",
    "ContractSheet": "quantlab.types.inspection",
    "DiagnoseOptions": "quantlab.study",
    "Diagnosis": "quantlab.types",
    "ImportOptions": "quantlab.study",
    "InspectOptions": "quantlab.study",
    "LintResult": "quantlab.types.lint",
    "ModelOptions": "quantlab.models",
    "PipelineComparison": "quantlab.types",
    "PipelineOptions": "quantlab.study",
    "Preprocessing": "quantlab.types",
    "QuantlabError": "quantlab.errors",
    "Recommendation": "quantlab.types",
    "ReduceOptions": "quantlab.study",
    "Reduction": "quantlab.types.reduction",
    "SETTINGS": "quantlab.settings",
    "Sensitivity": "quantlab.types",
    "SensitivityOptions": "quantlab.study",
    "ShardOptions": "quantlab.study",
    "Study": "quantlab.types",
    "Trial": "quantlab.types",
    "TuneOptions": "quantlab.study",
    "Verdict": "quantlab.types",
    "analyze": "quantlab.study",
    "compare_pipelines": "quantlab.study",
    "convert": "quantlab.study",
    "diagnose": "quantlab.study",
    "import_outputs": "quantlab.study",
    "find_hazards": "quantlab.study",
    "inspect": "quantlab.study",
    "judge": "quantlab.gate",
    "load_study": "quantlab.study",
    "measure_sensitivity": "quantlab.study",
    "measure_sizes": "quantlab.study",
    "read_tuning": "quantlab.study",
    "recommend": "quantlab.gate",
    "reduce_study": "quantlab.study",
    "remove_import": "quantlab.study",
    "report": "quantlab_reports.api",
    "to_dataframe": "quantlab_reports.api",
    "tune": "quantlab.study",
    "write_page": "quantlab.tab",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> "Any":
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'quantlab' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
