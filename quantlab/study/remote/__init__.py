"""Studies at addresses: the folder of a study on this machine, and its files in an object store by their hashes.

```text
place.py   the study of an address while a command uses it: locked, fetched, stored
index.py   which files the study has: the object `index.json`, written last
files.py   brings files of the index here, and there
lock.py    one command at a time: an object with a heartbeat
```
"""

from quantlab.study.remote.place import StudyPlace, folder_of, judged_place, read_place, study_place

__all__ = ["StudyPlace", "folder_of", "judged_place", "read_place", "study_place"]
