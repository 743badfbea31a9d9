"""Runs the JavaScript tests with the Node that quantlab uses: `python -m tests.run_node_tests`; `--types` runs tsc."""

import subprocess
import sys
from pathlib import Path

from quantlab.runtimes.node import BUNDLE, find_node

JS = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js"


def main() -> int:
    if not (JS / "node_modules").is_dir() or not BUNDLE.is_file():
        print(
            "the JavaScript is not built here; 'python hatch_build.py' in the build environment makes it",
            file=sys.stderr,
        )
        return 2
    program, _ = find_node()
    types = [program, "node_modules/typescript/bin/tsc", "-p", "."]
    # Node's runner passes on the isolation of its parent's; the plain reporter closes with the counts.
    tests = [program, "--test", "--test-reporter=spec"]
    return subprocess.run(types if "--types" in sys.argv else tests, cwd=JS, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
