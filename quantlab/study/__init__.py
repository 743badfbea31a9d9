"""The loop that makes the table: open, draw, convert, run, compare, keep."""

from quantlab.study._analyze import analyze, load_study
from quantlab.study._convert import convert
from quantlab.study._judging import Judged, gather, judge, name_of, recommend
from quantlab.study._lock import accept, changed_artifacts, compare_with_lock, read_lock, write_lock
from quantlab.study._shipped import settings_of_artifact
from quantlab.study.options import AnalyzeOptions

__all__ = [
    "AnalyzeOptions",
    "Judged",
    "accept",
    "analyze",
    "changed_artifacts",
    "compare_with_lock",
    "convert",
    "gather",
    "judge",
    "load_study",
    "name_of",
    "read_lock",
    "recommend",
    "settings_of_artifact",
    "write_lock",
]
