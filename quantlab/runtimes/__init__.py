"""Runs variants in Python, Node.js and browsers: `RUNTIMES` is the registry of all runtimes."""

from quantlab.runtimes.contract import Host, Runtime
from quantlab.runtimes.exchange import Job, Picture, Taps, TimingPlan, create_output, input_files, tensor_file
from quantlab.runtimes.native_addon import build_addon, find_addon
from quantlab.runtimes.registry import RUNTIMES

__all__ = [
    "RUNTIMES",
    "Host",
    "Job",
    "Picture",
    "Runtime",
    "Taps",
    "TimingPlan",
    "build_addon",
    "create_output",
    "find_addon",
    "input_files",
    "tensor_file",
]
