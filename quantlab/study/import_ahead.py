"""Imports what an analysis needs later, while a process opens the model."""

import contextlib
import threading

from quantlab.processes import python_environment, wait_for_preload
from quantlab.statistics import tango, wilson
from quantlab.study.context import Context, artifact_format
from quantlab.study.inside.loops import load_loops
from quantlab.study.plan import Plan
from quantlab_converters import preloaded

__all__ = ["begin_imports"]


def begin_imports(context: Context, plan: Plan) -> None:
    """Start importing, in a thread."""
    threading.Thread(target=_import_ahead, args=(context, plan), daemon=True).start()


def _import_ahead(context: Context, plan: Plan) -> None:
    """Import TensorFlow for the converters, then our own libraries: opening the model leaves one core free."""
    settings = [setting for members in plan.by_format.values() for setting in members]
    if any(context.registries.takes(setting, context.file.kind) for setting in settings):
        wait_for_preload(python_environment(onednn=False), preloaded(artifact_format(context.file, context.registries)))
    with contextlib.suppress(Exception):  # the code that needs it will report the error
        wilson(1, 2), tango(1, 0, n=2)
        if context.options.layers:
            load_loops()
