"""What a model's file may name without being able to act: the one list of functions and ops, for each kind of file.

A model from a stranger must do nothing but compute. A Keras file names functions of TensorFlow, a SavedModel and a
graph-model name ops; either can name what reads or writes files, calls Python, opens a connection or ends the process.
Whatever is not on these lists is refused by name, and opened only with `--unsafe`.

The lists are of what computes. For functions they are the namespaces of the API of TensorFlow that hold mathematics;
for ops they start from the registry of TensorFlow: an op that it marks as stateful is refused unless its state is the
model's own (`STATEFUL_OPS`), and one that it does not mark is allowed unless it reaches outside (`acts_unmarked`).
"""

import re

__all__ = ["STATEFUL_OPS", "acts_unmarked", "is_pure_function"]

_NAMESPACES = frozenset(
    {
        *("__operators__", "bitwise", "image", "keras.activations", "keras.backend", "keras.ops", "linalg", "math"),
        *("nn", "ragged", "random", "signal", "sparse", "strings"),
    }
)
"""Of `tf`: functions in them compute and do nothing else, but for those of `_ACTING_FUNCTIONS`."""

_FUNCTIONS = frozenset(
    """
    abs acos acosh add add_n argmax argmin argsort asin asinh atan atan2 atanh batch_to_space boolean_mask
    broadcast_dynamic_shape broadcast_static_shape broadcast_to case cast ceil clip_by_global_norm clip_by_norm
    clip_by_value complex concat cond convert_to_tensor cos cosh cumsum divide dynamic_partition dynamic_stitch
    edit_distance eig eigvals einsum ensure_shape equal exp expand_dims extract_volume_patches eye fill fingerprint
    floor foldl foldr gather gather_nd greater greater_equal guarantee_const hessians histogram_fixed_width
    histogram_fixed_width_bins identity identity_n is_tensor less less_equal linspace logical_and logical_not
    logical_or map_fn matmul matrix_square_root maximum meshgrid minimum multiply negative no_gradient norm
    not_equal one_hot ones ones_like pad parallel_stack pow quantize_and_dequantize quantize_and_dequantize_v2 range
    rank realdiv recompute_grad reduce_all reduce_any reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod
    reduce_sum repeat reshape reverse reverse_sequence roll round saturate_cast scalar_mul scan scatter_nd
    searchsorted sequence_mask shape shape_n sigmoid sign sin sinh size slice sort space_to_batch space_to_batch_nd
    split sqrt square squeeze stack stop_gradient strided_slice subtract switch_case tan tanh tensor_scatter_nd_add
    tensor_scatter_nd_max tensor_scatter_nd_min tensor_scatter_nd_sub tensor_scatter_nd_update tensordot tile
    transpose truediv truncatediv truncatemod unique unique_with_counts unravel_index unstack vectorized_map where
    while_loop zeros zeros_like
    """.split()  # noqa: SIM905 (a list of names that is read, not indexed)
)
"""Of `tf` itself."""

_ACTING_FUNCTIONS = re.compile(
    r"(^|\.)(print_tensor|py_func|get_session|set_session|clear_session|save|load|fixed_unigram_candidate_sampler)$"
)


def is_pure_function(name: str) -> bool:
    """Whether a function of TensorFlow, by its name below `tf`, does nothing but compute.

    >>> is_pure_function("math.add"), is_pure_function("io.write_file"), is_pure_function("raw_ops.WriteFile")
    (True, False, False)
    """
    name = name.removeprefix("tf.").removeprefix("compat.v1.").removeprefix("compat.v2.")
    namespace, _, _ = name.rpartition(".")
    while namespace and namespace not in _NAMESPACES:
        namespace, _, _ = namespace.rpartition(".")
    return (name in _FUNCTIONS or bool(namespace)) and _ACTING_FUNCTIONS.search(name) is None


STATEFUL_OPS = frozenset(
    """
    Assert AssignAddVariableOp AssignSubVariableOp AssignVariableOp Case CheckNumerics CheckNumericsV2 CudnnRNN
    CudnnRNNV2 CudnnRNNV3 DestroyResourceOp DisableCopyOnRead Empty GuaranteeConst HashTable HashTableV2
    AnonymousHashTable AnonymousMutableHashTable AnonymousMutableHashTableOfTensors AnonymousMutableDenseHashTable
    If InitializeTableV2 LookupTableExportV2 LookupTableFindV2 LookupTableImportV2 LookupTableInsertV2
    LookupTableRemoveV2 LookupTableSizeV2 Multinomial MutableDenseHashTable MutableDenseHashTableV2 MutableHashTable
    MutableHashTableOfTensors MutableHashTableOfTensorsV2 MutableHashTableV2 NonDeterministicInts
    ParameterizedTruncatedNormal RandomCrop RandomGamma RandomPoisson RandomPoissonV2 RandomShuffle
    RandomStandardNormal RandomUniform RandomUniformInt ReadVariableOp ResourceGather ResourceGatherNd
    ResourceScatterAdd ResourceScatterDiv ResourceScatterMax ResourceScatterMin ResourceScatterMul
    ResourceScatterNdAdd ResourceScatterNdMax ResourceScatterNdMin ResourceScatterNdSub ResourceScatterNdUpdate
    ResourceScatterSub ResourceScatterUpdate ResourceStridedSliceAssign RngReadAndSkip RngSkip
    SampleDistortedBoundingBox SampleDistortedBoundingBoxV2 Stack StackCloseV2 StackPopV2 StackPushV2 StackV2
    StatefulPartitionedCall StatefulRandomBinomial StatefulStandardNormal StatefulStandardNormalV2
    StatefulTruncatedNormal StatefulUniform StatefulUniformFullInt StatefulUniformInt StatelessRandomGetAlg
    TemporaryVariable TensorArray TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayGradV3
    TensorArrayGradWithShape TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3
    TensorArrayV2 TensorArrayV3 TensorArrayWriteV3 TruncatedNormal VarHandleOp VarIsInitializedOp Variable
    VariableShape VariableV2 While _Arg _Retval
    """.split()  # noqa: SIM905 (a list of names that is read, not indexed)
)
"""Ops with a state that is the model's own: its variables, tables, arrays and random numbers."""

_UNMARKED = re.compile(
    r"""
    ^(Abort|Copy|CopyHost|CopyOp|CopyToMesh|CopyToMeshGrad|MatchingFiles|PyFuncStateless|ReadFile
      |InitializeTableFromTextFile|TfLiteSubgraphExecute|ImmutableConst|DecodeProtoV2|EncodeProto)$
    |Dataset|^Debug|^Reader|^Snapshot|^Save|^Restore|^XlaCustomCall
    """,
    re.VERBOSE,
)


def acts_unmarked(op: str) -> bool:
    """Whether an op that TensorFlow does not mark as stateful reaches outside the model all the same.

    Such are ops that read files, call Python, dump what passes through them, or end the process.

    >>> acts_unmarked("ReadFile"), acts_unmarked("TextLineDataset"), acts_unmarked("Conv2D")
    (True, True, False)
    """
    return _UNMARKED.search(op) is not None
