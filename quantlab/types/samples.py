"""The samples fed to every runtime."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from quantlab.types.model import TensorSpec

__all__ = ["VOID_LABEL", "Attribute", "Duplicate", "Duplicates", "FewSamples", "FileState", "KeepSamples", "SampleSet"]

VOID_LABEL = 255
"""Label of positions that belong to no class and are not scored, if there are at most 255 classes: a convention of
segmentation data sets. Labels below 0 are never scored."""

KeepSamples = Literal["all", "few"]
"""Which samples of a study in shards stay on the disk."""

FileState = Literal["intact", "damaged", "missing", "no hash"]
"""What became of files that are kept with a hash; records of an older quantlab have `no hash`."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column of a table about the samples: the samples with one of its values are a slice."""

    name: str
    """Name of the column."""
    values: tuple[str, ...]
    """Its distinct values in the whole source, sorted; a sample is stored as the place of its value."""
    source: str
    """The table and the column as the user wrote them, for example `meta.csv:site`."""
    sha256: str
    """SHA-256 of the name, the values, and the place of each sample's value."""


@dataclass(frozen=True, slots=True)
class FewSamples:
    """The samples of a set whose inputs stay on the disk, where all would need too much of it."""

    n: int
    sha256: str
    """SHA-256 of their inputs, with names, shapes and data types, and of their places."""


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Samples fed to every runtime: one raw little-endian `.npy` file per input, all in the same sample order.

    The files are written once, when the samples are opened, and are memory-mapped afterwards.
    """

    folder: Path
    """Folder with one `.npy` file per input (see `input_file`), and `labels.npy` if labelled."""
    inputs: tuple[TensorSpec, ...]
    """The model's inputs, with the sizes of the samples; the batch dimension is None."""
    n: int
    labelled: bool
    sha256: str
    """SHA-256 of the inputs' bytes in order, their names, shapes and data types, and the labels."""
    source: str
    """The source as the user wrote it."""
    available: int
    """Number of samples in the source, before a subset is taken."""
    drawn: str
    """How the subset was selected, as shown in the footer: `all`, `stratified, seed 0`, `random, seed 0`."""
    preprocessing: str = ""
    """How files were turned into tensors, in words; empty if nothing was done."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of the labels; empty where they have none."""
    labels_sha256: str = ""
    """SHA-256 of the labels, their shape and data type; empty without labels, and in records of an older quantlab."""
    origins_sha256: str = ""
    """SHA-256 of the samples' positions in the source, and of their files' names; empty in records of an older
    quantlab."""
    attributes: tuple[Attribute, ...] = ()
    """Attributes of the samples by which they are judged in slices (`--slice`)."""
    group_key: str = ""
    """The `--group` by which samples are not independent; empty if all are."""
    groups: int | None = None
    """Number of groups among the samples; None without a group key."""
    groups_sha256: str = ""
    """SHA-256 of the group of each sample; empty without a group key."""
    truth: Literal["", "ragged", "json"] = ""
    """How the labels are stored: empty for one array; `ragged` for arrays of another length for each sample, in a row;
    `json` for the text of a JSON value for each sample."""
    few: FewSamples | None = None
    """The samples whose inputs are kept, in `few_folder`, if those of the others are not; None if all are."""

    def input_file(self, name: str) -> Path:
        """The `.npy` file of one input, of shape (n, *sample shape); the name is escaped for the file system."""
        return self.folder / f"input-{quote(name, safe='')}.npy"

    @property
    def labels_file(self) -> Path:
        """The `.npy` file of the labels; it exists only if `labelled`."""
        return self.folder / "labels.npy"

    @property
    def label_offsets_file(self) -> Path:
        """The `.npy` file that says where each sample's labels begin, (n + 1,); it exists only with `truth`."""
        return self.folder / "label-offsets.npy"

    @property
    def few_folder(self) -> Path:
        """The folder with the inputs of `few`, as those of a set."""
        return self.folder / "few"

    @property
    def few_places_file(self) -> Path:
        """The `.npy` file of the places of `few` among all samples, ascending int64."""
        return self.few_folder / "places.npy"

    def attribute_file(self, attribute: Attribute) -> Path:
        """The `.npy` file of one of `attributes`: (n,) int64, the place of each sample's value."""
        return self.folder / f"attribute-{attribute.sha256[:12]}.npy"

    @property
    def groups_file(self) -> Path:
        """The `.npy` file of the group of each sample, int64 (n,); it exists only with a `group_key`."""
        return self.folder / "groups.npy"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A scored sample that is equal or nearly equal to another one."""

    sample: int
    """Its position in the source, from 0."""
    of: int
    """The position of the other sample, with which all samples of its group are compared."""
    distance: float
    """0 if they are equal byte by byte; otherwise the root mean square difference of the images, at 16 × 16 pixels, in
    units of their contrast."""
    file: str | None = None
    """Name of its file below the source; None if samples are no files."""
    of_file: str | None = None
    """Name of the other file."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """The scored samples that are equal or nearly equal to others; the content of `duplicates.json`."""

    n: int
    """Number of scored samples."""
    equal: int
    """Samples that are equal to an earlier one byte by byte."""
    near: int
    """Samples that are nearly equal to another one; only images are compared so."""
    pairs: tuple[Duplicate, ...] = ()
    """Each of these samples with the one that it is a duplicate of; at most 100,000 of them."""
    searched: bool = True
    """Whether nearly equal images were looked for; False of more than 100,000."""
