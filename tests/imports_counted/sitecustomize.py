"""Python imports this when it starts, in every program whose PYTHONPATH names this folder."""

import tensorflow_imports

tensorflow_imports.note_from_now_on()
