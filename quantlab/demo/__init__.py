"""The example that `quantlab demo` analyzes: scanned digits, and a small model trained on one third of them."""

from pathlib import Path

__all__ = ["LOADER", "MODEL"]

MODEL = Path(__file__).with_name("digits.keras")
"""The trained model, created by `python -m quantlab.demo.train`."""

LOADER = "quantlab.demo.digits:samples"
"""The samples that were not used for training, in the form that `--data` accepts."""
