"""Child processes that answer in JSON lines. Each has a log and a time limit, and none is left behind.

Converters and runtimes can abort, hang or use up memory; in their own process this affects only one row. The parent
uses `Child`; a child written in Python calls `serve`. Standard output of a child carries only messages; everything that
libraries print goes to its log. If possible, a child that is a Python module (`PythonModule`) is forked from a process
that has already imported TensorFlow.
"""

from quantlab.processes.child import LONGEST_WAIT_SECONDS, Child, ChildDied, ChildStalled, living_children
from quantlab.processes.documents import Document, tagged, untagged
from quantlab.processes.environment import import_path, onednn, python_environment, usable_cores
from quantlab.processes.forks import end_fork_servers, fork_servers, inherit_fork_server, wait_for_preload, warm_up
from quantlab.processes.messages import messages_of
from quantlab.processes.own_folder import OwnFolder, hold
from quantlab.processes.pool import ChildPool, Lane, end_lasting_children, idle_children
from quantlab.processes.process import Preload
from quantlab.processes.serving import Emit, describe, import_modules, serve
from quantlab.processes.start import PythonModule

__all__ = [
    "LONGEST_WAIT_SECONDS",
    "Child",
    "ChildDied",
    "ChildPool",
    "ChildStalled",
    "Document",
    "Emit",
    "Lane",
    "OwnFolder",
    "Preload",
    "PythonModule",
    "describe",
    "end_fork_servers",
    "end_lasting_children",
    "fork_servers",
    "hold",
    "idle_children",
    "import_modules",
    "import_path",
    "inherit_fork_server",
    "living_children",
    "messages_of",
    "onednn",
    "python_environment",
    "serve",
    "tagged",
    "untagged",
    "usable_cores",
    "wait_for_preload",
    "warm_up",
]
