"""`python -m quantlab`, and the program `quantlab`."""

import gc
import sys

from quantlab.cli import run

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit status."""
    status = run(sys.argv[1:])
    gc.freeze()  # Python's last look for garbage takes longer than all else that it does at the end
    sys.exit(status)


if __name__ == "__main__":
    main()
