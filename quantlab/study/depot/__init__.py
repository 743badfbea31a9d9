"""What the command and its workers leave files in for each other: the folder of the study, or an object store.

```text
contract.py   what a depot can do
folder.py     a folder that all of them share
objects.py    an object store, and objects of any size
patience.py   how long one waits for it
damage.py     objects in it that somebody found damaged
cache.py      what a machine has fetched from it
names.py      names of files that come from elsewhere
owners.py     who made a file in it, and whether that process lives
```
"""

from quantlab.study.depot.contract import Depot, Pace
from quantlab.study.depot.folder import FolderDepot

__all__ = ["Depot", "FolderDepot", "Pace"]
