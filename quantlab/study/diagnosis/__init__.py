"""Why the float model answers wrongly before anything is quantized: conventions that samples and labels may follow."""

from quantlab.study.diagnosis.diagnose import diagnose
from quantlab.study.diagnosis.options import DiagnoseOptions

__all__ = ["DiagnoseOptions", "diagnose"]
