"""The example that `quantlab demo` analyzes: scanned digits, and a small model trained on a third of them."""

from pathlib import Path

__all__ = ["LOADER", "MODEL"]

MODEL = Path(__file__).with_name("digits.keras")
"""The trained model, written by `python -m quantlab.demo.train`."""

LOADER = "quantlab.demo.digits:samples"
"""The samples it was not trained on, as `--data` takes them."""
