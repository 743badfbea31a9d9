"""Opens samples, checks them against the model, and writes the bytes that every runtime is fed.

A source is what the user names: arrays in files, a folder of images, or a function. `open_samples` does all steps:
read, check, set calibration samples aside, select a subset, write. Labels are held in memory; samples are processed in
blocks.
"""

from quantlab.samples.arrays import PackedArray, array_of_npz, names_of_npz, packed_array
from quantlab.samples.attributes import intact_attributes, refuse_missing_slices
from quantlab.samples.checksums import as_fed, checksums
from quantlab.samples.class_names import ClassNames, class_names_beside, read_class_names
from quantlab.samples.cut import CutSamples
from quantlab.samples.few import FIRST_KEPT, kept_places, kept_subset, place_in_kept, refuse_few
from quantlab.samples.groups import intact_groups, read_groups
from quantlab.samples.hashes import intact_labels, intact_samples, labels_sha256, samples_sha256
from quantlab.samples.images import ImageFiles, image_files
from quantlab.samples.labels import check_labels, holds_classes
from quantlab.samples.leftovers import ROUNDS
from quantlab.samples.near import MOST_IMAGES, NEAR_DISTANCE
from quantlab.samples.opening import (
    ACCEPTED,
    SampleParts,
    files_named,
    may_hold_images,
    open_parts,
    open_samples,
    open_source,
    refuse_missing,
)
from quantlab.samples.origins import files_of, indices_of, intact_origins, named, names_of, present_file, told
from quantlab.samples.places import is_pattern
from quantlab.samples.same import why_other_samples
from quantlab.samples.source import Cut, SampleOptions, Source
from quantlab.samples.subset import Part, draw, split
from quantlab.samples.truth import labels_of
from quantlab.samples.write import KEPT_BYTES, write_samples

__all__ = [
    "ACCEPTED",
    "FIRST_KEPT",
    "KEPT_BYTES",
    "MOST_IMAGES",
    "NEAR_DISTANCE",
    "ROUNDS",
    "ClassNames",
    "Cut",
    "CutSamples",
    "ImageFiles",
    "PackedArray",
    "Part",
    "SampleOptions",
    "SampleParts",
    "Source",
    "array_of_npz",
    "as_fed",
    "check_labels",
    "checksums",
    "class_names_beside",
    "draw",
    "files_named",
    "files_of",
    "holds_classes",
    "image_files",
    "indices_of",
    "intact_attributes",
    "intact_groups",
    "intact_labels",
    "intact_origins",
    "intact_samples",
    "is_pattern",
    "kept_places",
    "kept_subset",
    "labels_of",
    "labels_sha256",
    "may_hold_images",
    "named",
    "names_of",
    "names_of_npz",
    "open_parts",
    "open_samples",
    "open_source",
    "packed_array",
    "place_in_kept",
    "present_file",
    "read_class_names",
    "read_groups",
    "refuse_few",
    "refuse_missing",
    "refuse_missing_slices",
    "samples_sha256",
    "split",
    "told",
    "why_other_samples",
    "write_samples",
]
