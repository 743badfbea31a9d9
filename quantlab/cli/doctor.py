"""`quantlab doctor`: what works on this machine."""

from typing import Annotated

import typer

from quantlab.cli.exit_status import COULD_NOT_RUN

__all__ = ["doctor"]


def doctor(
    build: Annotated[
        str | None, typer.Option("--build", help="Make what is not shipped: node-native, with your C++ compiler.")
    ] = None,
) -> int:
    """Say what works on this machine, and what mends what does not."""
    from quantlab.cli.checks import build_runtime, examine, report

    if build is not None:
        print(build_runtime(build))
    checks = examine()
    print(report(checks))
    return 0 if all(check.works or check.optional for check in checks) else COULD_NOT_RUN
