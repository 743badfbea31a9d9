"""Checks of a machine that runs shards of studies: its processor, its packages, and the runtimes that it has."""

import functools
from importlib.util import find_spec

from quantlab.cli.checks import Check
from quantlab.errors import QuantlabError
from quantlab.registries import REAL
from quantlab.runtimes import Runtime
from quantlab.study import this_worker

__all__ = ["examine_worker"]


def examine_worker() -> list[Check]:
    """What must be the same on all workers, and whether each runtime of this machine can be used there.

    A runtime that is used only if it is named is optional. Nothing slow is imported.
    """
    here = this_worker()
    about = [
        Check("machine", works=True, detail=f"{here.host}, {here.system}, {here.cores} cores"),
        Check("processor", works=True, detail=f"{here.processor or 'unknown'} ({' '.join(here.instructions)})"),
        *(
            Check(
                name,
                works=text != "none",
                detail=text if text != "none" else f"not installed; run 'pip install {name}'",
            )
            for name, text in here.versions.items()
        ),
    ]
    runtimes = [runtime for runtime in REAL.runtimes.values() if runtime.at is None]
    return [*about, _object_store(), *map(_runtime, runtimes)]


def _object_store() -> Check:
    """Whether the worker can run shards of studies at `s3://` addresses."""
    missing = [module for module in ("fsspec", "s3fs") if find_spec(module) is None]
    text = "shards of studies at s3:// addresses"
    if missing:
        text = f"{missing[0]} is not installed, which studies at s3:// addresses need; run pip install 'quantlab[s3]'"
    return Check("s3", works=not missing, detail=text, optional=True)


def _runtime(runtime: Runtime) -> Check:
    check = functools.partial(Check, runtime.name, optional=not runtime.default)
    for format_ in REAL.formats.values():
        if runtime.runs(format_):
            try:
                runtime.environment(format_)
            except QuantlabError as error:
                return check(works=False, detail=str(error))
    return check(works=True, detail=runtime.description)
