"""Runs the JavaScript tests with the Node that quantlab uses: `python -m tests.run_node_tests`.

With `--types` it runs tsc instead. With `--beside COMMAND…` it runs a command at the same time, and prints the output
of the JavaScript tests when both have ended: the Python tests often wait and leave one core idle.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from quantlab.runtimes.node import BUNDLE, find_node

JS = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js"


def main(words: Sequence[str]) -> int:
    if not (JS / "node_modules").is_dir() or not BUNDLE.is_file():
        print(
            "the JavaScript is not built here; 'python hatch_build.py' in the build environment makes it",
            file=sys.stderr,
        )
        return 2
    program, _ = find_node()
    if words == ["--types"]:
        return subprocess.run([program, "node_modules/typescript/bin/tsc", "-p", "."], cwd=JS, check=False).returncode
    # Node's runner passes on the isolation of its parent's; the plain reporter closes with the counts.
    tests = [program, "--test", "--test-reporter=spec"]
    if words[:1] == ["--beside"]:
        return _beside(tests, words[1:])
    return subprocess.run(tests, cwd=JS, check=False).returncode


def _beside(tests: Sequence[str], command: Sequence[str]) -> int:
    """Exit status of the command, or of the tests where only they fail."""
    with tempfile.TemporaryFile() as said, subprocess.Popen(tests, cwd=JS, stdout=said, stderr=said) as running:
        try:
            status = subprocess.run(command, check=False).returncode
            running.wait()
        except KeyboardInterrupt:  # the other programs have it too
            return 130
        finally:
            running.kill()
        said.seek(0)
        sys.stdout.buffer.write(said.read())
    return status or running.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
