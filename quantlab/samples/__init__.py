"""Opens samples, checks them against the model and writes them as the bytes that every runtime is fed.

A source is what the user names: arrays in files, a folder of images, or a function. `open_samples` is the
whole way from there: read, check, set the calibration samples aside, draw, write. Labels are held in memory,
samples pass through it in blocks.
"""

from quantlab.samples.labels import check_labels
from quantlab.samples.opening import ACCEPTED, open_samples, open_source, refuse_missing
from quantlab.samples.source import SampleOptions, Source
from quantlab.samples.subset import Part, draw, split
from quantlab.samples.write import write_samples

__all__ = [
    "ACCEPTED",
    "Part",
    "SampleOptions",
    "Source",
    "check_labels",
    "draw",
    "open_samples",
    "open_source",
    "refuse_missing",
    "split",
    "write_samples",
]
