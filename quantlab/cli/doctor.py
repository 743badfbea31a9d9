"""`quantlab doctor`: checks this machine."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from quantlab.cli.exit_status import COULD_NOT_RUN
from quantlab.cli.options import AsJson, print_json
from quantlab.cli.output import print_result

__all__ = ["doctor"]


def doctor(
    build: Annotated[
        str | None,
        typer.Option(
            "--build", help="Build a runtime that is not part of the package: node-native. Needs a C++ compiler."
        ),
    ] = None,
    worker: Annotated[
        bool, typer.Option("--worker", help="Check what a worker needs that runs shards of a study, and nothing else.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Check what quantlab needs, and say how to fix it."""
    from quantlab.cli.checks import build_runtime, examine, report
    from quantlab.cli.worker_checks import examine_worker

    if build is not None:
        print(build_runtime(build), file=sys.stderr if json else sys.stdout)
    checks = examine_worker() if worker else examine()
    if json:
        print_json([asdict(check) for check in checks])
    else:
        print_result(report(checks))
    return 0 if all(check.works or check.optional for check in checks) else COULD_NOT_RUN
