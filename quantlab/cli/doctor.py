"""`quantlab doctor`: what works on this machine."""

from typing import Annotated

import typer

from quantlab.cli.exit_status import COULD_NOT_RUN

__all__ = ["doctor"]


def doctor(
    build: Annotated[
        str | None,
        typer.Option(
            "--build", help="Build a runtime that is not part of the package: node-native. Needs a C++ compiler."
        ),
    ] = None,
) -> int:
    """Check what quantlab needs on this machine, and say how to fix what is missing."""
    from quantlab.cli.checks import build_runtime, examine, report

    if build is not None:
        print(build_runtime(build))
    checks = examine()
    print(report(checks))
    return 0 if all(check.works or check.optional for check in checks) else COULD_NOT_RUN
