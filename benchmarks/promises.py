"""Simulates what verdicts promise: `python -m benchmarks.promises [--quick] [--seed N]`.

A table has a row for each rule and scenario: what is promised, what was measured, and in how many draws (0: all
outcomes were enumerated). The scenarios are the hardest: every loss is exactly at its margin. The exit status is 1 if
a measured share is beyond what is promised by more than chance explains.
"""

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from tabulate import tabulate

from benchmarks import (
    promises_bounds,
    promises_classes,
    promises_groups,
    promises_metrics,
    promises_runtimes,
    promises_use,
)

PARTS: dict[str, tuple[ModuleType, int, int]] = {
    "use": (promises_use, 2000, 300),
    "bounds": (promises_bounds, 2000, 300),
    "classes": (promises_classes, 2000, 300),
    "groups": (promises_groups, 1000, 150),
    "runtimes": (promises_runtimes, 20_000, 2000),
    "metrics": (promises_metrics, 400, 100),
}
"""Part → its module, its draws, and its draws with `--quick`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the draws")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="simulate this part; repeatable")
    asked = parser.parse_args()
    broken = 0
    for name in asked.only or PARTS:
        module, draws, quick = PARTS[name]
        make: Callable[[int, int], Sequence[Sequence[Any]]] = module.rows
        rows = [(*row, _verdict(row[2], row[3], row[4])) for row in make(quick if asked.quick else draws, asked.seed)]
        broken += sum(row[-1] == "broken" for row in rows)
        told = [
            (rule, scenario, _told(promised), f"{100 * share:.2f} %", draws, verdict)
            for rule, scenario, promised, share, draws, verdict in rows
        ]
        print(f"\n{name}\n{tabulate(told, ('rule', 'scenario', 'promised', 'measured', 'draws', ''))}", flush=True)
    print(f"\nsamples that decide with 80 % probability\n{tabulate(promises_use.costs(), floatfmt='.2f')}")
    print(f"\n{broken} promises are broken")
    sys.exit(1 if broken else 0)


def _told(promised: str | float) -> str:
    return promised if isinstance(promised, str) else f"≤ {100 * promised:g} %"


def _verdict(promised: str | float, share: float, draws: int) -> str:
    """`broken` if the share is beyond the promise by more than chance explains; empty without a promise."""
    match = re.fullmatch(r"([≤≥]) ([\d.]+)(?: (%))?", _told(promised))
    if match is None or math.isnan(share):
        return ""
    limit = float(match[2]) / (100 if match[3] else 1)
    if match[1] == "≥":
        return "kept" if share >= limit else "broken"
    allowed = limit if not draws else limit + 3.1 * math.sqrt(limit * max(0.0, 1 - limit) / draws)
    return "kept" if share <= allowed + 1e-9 else "broken"


if __name__ == "__main__":
    main()
