"""The terms that tables, reports and messages print, each explained in one or two sentences."""

from collections.abc import Mapping

__all__ = ["GLOSSARY", "HINT", "PAGE", "SYNONYMS", "anchor_of", "explained"]

HINT = "Terms: quantlab glossary"
"""The last line below a table in a terminal."""

PAGE = "docs/glossary.md"
"""The generated page that has every term as a heading."""

GLOSSARY: Mapping[str, str] = {
    "90th percentile": "Value that nine samples in ten do not exceed, with an interval from order statistics.",
    "accepted figures": "Losses and hashes that 'quantlab accept' writes to quantlab.lock. "
    "A later 'quantlab gate --lock' fails if a setting loses more than was accepted.",
    "accuracy loss": "How much worse the metric of a variant is than that of the reference on the same samples. "
    "A positive loss is worse; a negative loss is a gain.",
    "added memory": "Memory that loading and running a variant adds to the process, in megabytes. "
    "It excludes what the runtime and its libraries already used.",
    "agreement": "Percentage of samples with the same top-1 as the reference. "
    "It needs no labels, and it does not say which answer is right.",
    "all but this op": "Error of the outputs if all ops but this one are quantized, against the float32 artifact. "
    "If it is far below that of all ops, keep this op in float.",
    "artifact": "The files that a converter writes and that are shipped: a .tflite or .onnx file, or a tfjs folder.",
    "attempt": "A call that 'quantlab inspect' makes, as programs do, with another batch, rank, dtype, name or layout "
    "than the right call.",
    "became worse / better": "Samples whose own error or score is worse or better than in the reference; of classes, "
    "those that became wrong and right.",
    "became wrong / right": "Samples whose top-1 was right in the reference and is wrong in the variant, and the "
    "reverse. A small loss can hide many changes in both directions.",
    "became zero": "Percentage of the nonzero float32 weights that are 0 after quantization.",
    "before / after": "Output of the model and of a variant for one sample: its top-1 with the probability, or the "
    "element that changed most.",
    "bias": "Mean of variant − reference over the values of an output: positive if the variant is too large.",
    "bits lost": "Of codes that hold a wider range than the scored samples use: log2 of how many times as wide it is, "
    "both extended to 0. One bit less means that steps are twice as large.",
    "brotli": "Size of the shipped files after brotli compression, each file by itself.",
    "budget": "The limits that a setting must keep: loss of the metric, of each class and slice, size and agreement. "
    "They are options, or keys of [budget] in quantlab.toml.",
    "calibration error": "Expected calibration error: the difference between the confidence and the accuracy of the "
    "predictions, in 15 bins of confidence. It is between 0 and 1, and 0 is best.",
    "calibration samples": "Samples from which static quantization takes the ranges of activations. "
    "They are never scored.",
    "candidate": "An artifact that 'quantlab tune' measured on its search samples and may choose: a setting, or one "
    "with all its decisions. Artifacts that only measure one kernel, op or decision are not counted.",
    "change": "What one sample loses in a variant, in the unit of the metric; positive is worse. "
    "Without labels, the largest absolute difference of an element of its output.",
    "changed": "Samples with another top-1 than the model, right or wrong.",
    "channel": "One index of the last axis of a tensor, or one output channel of a weight.",
    "class loss": "Accuracy loss on the samples of one class, in percentage points.",
    "clipped": "Percentage of weights, or of the reference's values of a layer, outside the range of the codes of a "
    "variant, or of float16, by more than half a step.",
    "codes": "Integers that stand for values: value = (code − zero point) × scale. "
    "A contract sheet has the formula of each input and output that holds codes.",
    "compared by": "Metric of single samples that says what became worse; 'output' if there is none.",
    "computes in": "Number type that an op computes in. 'hybrid' means float activations with integer weights.",
    "confidence": "Probability that a bound holds. Verdicts use one-sided bounds, by default at 95 %.",
    "constant": "An output, or one index of its last axis, that a variant gives the same for every sample although it "
    "varies in the model. It breaks a budget unless --allow-constant names it.",
    "contract sheet": "What 'quantlab inspect' prints of a model and its artifacts: inputs and outputs, what becomes "
    "of right and wrong calls, and code to copy.",
    "convention": "A way to read samples or labels, such as their scale, the order of colours or of classes. "
    "'quantlab diagnose' tries which one suits the model.",
    "conversion": "The step from the reference to the float32 baseline of a format. "
    "Its error is not caused by quantization.",
    "cosine": "Cosine similarity of the output of a variant and that of the reference, over all samples. "
    "1 means the same direction.",
    "covers of the data": "Percentage of the range of the scored samples that the range of the calibration samples, or "
    "of an artifact's codes, covers. What lies outside is clipped.",
    "different top-1": "Samples whose top-1 in one runtime is not the one that Python gives for the same artifact.",
    "different values": "Percentage of the elements of a tensor that are not exactly equal to the baseline.",
    "distance": "Of two scored images: root mean square difference at 16 × 16 pixels, in units of their contrast.",
    "download size": "Bytes of the shipped files after gzip and after brotli, each file compressed by itself.",
    "duplicates": "Scored samples that are equal to another one, or images that nearly are. "
    "They do not count as independent with --group duplicates.",
    "element": "Place of a value in the output of one sample, counted from 0 along each axis.",
    "equivalent": "Whether a runtime answers as Python does: within a margin of 0.5 pt of accuracy, by two one-sided "
    "tests at 5 %, which are a 90 % interval within the margin. 'not shown' means that the samples are too few.",
    "error": "Of a candidate of 'quantlab tune', the mean KL divergence from the model in nats; the mean squared error "
    "if the output has no classes, or if a candidate gives a class the probability 0.",
    "error before / after": "The metric of one sample in the model and in a variant, such as its mean absolute error.",
    "error growth": "Change of the relative RMS error from the layer before, in percentage points. "
    "The layer with the largest growth adds most of the error.",
    "expected bound": "Upper bound of the loss that a candidate of 'quantlab tune' may have on the samples of the "
    "verdict. All candidates together tell it, because single ones are noisy.",
    "fallback": "With --fallback, a slower backend runs a variant if the requested backend lacks an op. "
    "The row says where the variant ran.",
    "first different layer": "First layer, in order of execution, whose tensor is not exactly equal to that in Python.",
    "first run": "Time of the first call after loading, in milliseconds. It includes work that libraries do only once.",
    "float32 baseline": "The variant of a format without quantization. "
    "It separates errors of the conversion from errors of quantization.",
    "float32 check": "Tests whether the float32 artifact of a format gives the same outputs as the model. "
    "If it fails, the conversion is wrong, and losses of this format are not caused by quantization.",
    "format": "Kind of artifact: tfjs, tfjs-layers, tflite or onnx.",
    "gzip": "Size of the shipped files after gzip compression at level 9, each file by itself.",
    "half precision": "The accuracy of float16: an element may differ by 2⁻¹¹ of the largest value of the tensor. "
    "A larger difference cannot be explained by float16 storage alone.",
    "hazard": "Something in a file that will go wrong in a conversion or a runtime, as far as the file tells. "
    "'quantlab lint' finds hazards without samples; each has an id, for example CHANNEL-SPREAD.",
    "Holm's correction": "Corrects p-values for the number of classes that are tested. "
    "Without it, some classes would appear to lose by chance.",
    "input": "A tensor that a model takes, by its name.",
    "interval": "Range that contains the true value with the given confidence, usually 95 %. "
    "Tables use Tango's method for top-1 and Wilson's for shares; a verdict uses exact bounds, or a bootstrap.",
    "isolated SQNR": "SQNR of one op whose inputs are taken from the float32 graph. "
    "It shows the error of this op without errors of earlier layers; graph-models, TFLite and ONNX files have it, in "
    "Python.",
    "its activations": "Error if only the activations that an op reads and writes are quantized. "
    "Its weights are float32.",
    "its weights": "Error if only the weights of an op are quantized, and its activations are float32.",
    "Jensen–Shannon divergence": "Mean KL divergence of the class probabilities of variant and reference from their "
    "middle, in nats: 0 means equal, 0.69 (ln 2) no class in common. It is finite where the KL divergence is infinite.",
    "kept in float": "Layers that --float-layers names stay in float in this row. "
    "'quantlab sensitivity' finds those that are worth it.",
    "KL divergence": "How far the class probabilities of a variant are from those of the reference, in nats. "
    "0 means equal, and it is infinite if the variant gives probability 0 to a possible class.",
    "KL infinite": "Samples in which the variant gives probability 0 to a class to which the reference does not.",
    "KL std. error": "Standard error of the mean KL divergence over the samples.",
    "label or target": "What the sample should give: the name of its class, or the target of the element.",
    "largest difference": "Largest absolute difference between two outputs, over all elements and samples.",
    "layer": "A layer of the reference. Its row compares the matching tensor of a variant with that of the reference.",
    "left out": "Values of an output, or samples, that are not compared, because they are NaN or infinite in the model "
    "itself, or have no metric.",
    "load time": "Time from the files to a model that can be called, in milliseconds. "
    "It excludes the import of the runtime's library.",
    "log loss": "Mean of −ln(probability of the label), in nats; smaller is better. 'quantlab diagnose' fits a "
    "temperature and the label noise first, so that confidence alone does not change it.",
    "loss from float32": "Accuracy of the float32 artifact minus that of an artifact, in percentage points. "
    "Positive is worse.",
    "MAE": "Mean absolute error against the labels, in the unit of the output. Smaller is better.",
    "max abs error": "Largest absolute error of an element of a tensor.",
    "max difference": "Largest absolute difference between the answer to a call and that to the right call, over all "
    "outputs: in codes, if an output holds codes.",
    "max error": "Largest absolute difference between the output of a variant and that of the reference.",
    "McNemar's test": "Tests whether more samples became wrong than became right. "
    "A small p-value means that the difference is unlikely to be chance.",
    "mean": "Mean of all values of an input of the model.",
    "mean abs error": "Mean absolute error of the elements of a tensor.",
    "mean difference": "Mean absolute difference between the outputs of two runtimes.",
    "mean IoU": "Intersection over union of the pixels of a class in the answer and in the labels, averaged over the "
    "classes of the labels.",
    "median": "Median time of one call with one sample, in milliseconds, after the first run and a warm-up.",
    "metric": "What a verdict judges: top-1, top-5, macro F1, AUC, MAE, RMSE, mean IoU, position accuracy, an error "
    "rate, or a function of yours.",
    "minimum": "The smallest value of an input, or of a tensor inside the model, in the calibration samples, in the "
    "scored samples, or that the codes of an artifact can hold; 'maximum' is the largest.",
    "moves between halves": "How far the ends of a range lie apart in two random halves of the calibration samples, as "
    "a percentage of the range, extended to 0. A large figure means that few samples decide the range.",
    "ms/sample": "Time in the model's calls for one sample on this machine, in milliseconds. "
    "Do not use it to compare phones.",
    "n": "Number of samples that a figure is based on.",
    "non-finite": "Number of output elements that are NaN or infinite. One is enough to break a budget.",
    "notes": "What to know about a row, for example why it failed or where it ran.",
    "only this op": "Error of the outputs if only this op is quantized, against the float32 artifact: "
    "the mean KL divergence, or the mean squared error (MSE).",
    "op": "Operation of a graph, by the name that its format uses, for example CONV_2D.",
    "outcome": "What became of a call: the same answer as that to the right call, another answer without an error, or "
    "refused with an error.",
    "outlier stretch": "Range of all weights of a tensor divided by the range of their middle 99.8 %. "
    "A large value means that few outliers waste most of the codes.",
    "output": "A tensor that the model or an op returns, by name. output[3] is index 3 of its last axis.",
    "p95": "95th percentile of the time of a call with one sample, in milliseconds: one run in twenty takes longer.",
    "Pareto front": "Settings for which no other setting is smaller and also has a smaller upper bound of the loss.",
    "peak memory": "Most memory that the whole process used, in megabytes.",
    "percentage point": "Unit of a difference between two percentages, written pt: from 97.4 % to 96.9 % is 0.5 pt.",
    "pipeline": "The steps by which a program turns an image file into a sample: decode, resize, scale. "
    "'quantlab diagnose --pipelines' compares those of apps with the declared preprocessing.",
    "port": "An input or output of an artifact: its place, its name in the model, the tensor's name in the artifact, "
    "its shape and its dtype.",
    "position": "A pixel of a label map or a step of a sequence, where the output has a class. "
    "The image or sequence remains the sample.",
    "position accuracy": "Percentage of the pixels or steps that are right, of those whose label is scored.",
    "preprocessing pipeline": "The steps that turn a file into an input of the model: decode, crop, resize, multiply "
    "and add, order the dimensions. 'quantlab preprocessing show' prints them.",
    "python baseline": "The same artifact run in Python. Other runtimes are compared with it.",
    "quantization": "The step from the float32 baseline to the quantized variant, in Python.",
    "range": "Smallest and largest finite value of an output, in the model or in the variant.",
    "recommendation": "The smallest setting that fits the budget in every runtime that counts. Between settings whose "
    "sizes differ by less than 5 %, it is the one with the lowest upper bound of the loss.",
    "reference": "The model that you gave, run in Python. All variants are compared with it.",
    "right call": "The call with which attempts are compared: one sample, or the batch size at which the artifact is "
    "fixed, in its own dtypes.",
    "RMS error": "Root mean square of the difference between the output of a variant and that of the reference.",
    "RMS of each step": "RMS of the output error that conversion, quantization and runtime each cause.",
    "RMSE": "Root mean square error against the labels, in the unit of the output. Smaller is better.",
    "runs": "Number of timed calls. Warm-up calls are not counted.",
    "runtime": "Where a variant runs: <host>-<backend>, for example node-wasm, or python.",
    "runtime step": "The step from Python to another runtime, with the same artifact.",
    "samples": "What every runtime is fed and what is scored. A smaller set is a random sample, stratified by label.",
    "scales": "Number of scales of a quantized weight: 1 for the whole tensor, or one for each channel.",
    "setting": "One way to quantize: <format>-<scheme>, for example tfjs-uint8.",
    "severity": "Order of outcomes: breaks, inconclusive, fits. The most severe outcome of a setting wins.",
    "shape": "Sizes of a tensor. On a contract sheet, n is a batch of any size and ? another open size.",
    "size": "Bytes of all files of an artifact that must be shipped, before compression.",
    "size / float32": "Size of a variant divided by that of the float32 variant of its format.",
    "slice": "The scored samples with one value of a column that 'quantlab analyze --slice' names. "
    "A budget can limit the loss of every slice, as that of every class.",
    "split": "Divides the loss of a trial into the steps preprocessing (with 'analyze --pipeline'), conversion, "
    "quantization and runtime. The steps add up to the total.",
    "SQNR": "Signal to quantization noise ratio in decibels: 20 dB more means an error that is ten times smaller. "
    "It is infinite without error and −∞ if a value is not finite.",
    "stored as": "Number type that a weight is stored as, for example uint8 or float16.",
    "study": "Folder with the results of 'quantlab analyze' for one model and one set of samples.",
    "tap": "A tensor inside a variant that is read while the variant runs.",
    "target": "Where the model will be used: web, web-mobile, node, android or any. "
    "It decides which formats, runtimes and sizes count.",
    "tensor": "An array of numbers: an input or output of the model, or what an op inside it writes.",
    "TFLite version": "Oldest TFLite version that can run the file, as its converter wrote it.",
    "time / float32": "Median time divided by that of the float32 variant of the format in the same runtime. "
    "A value below 1 is faster.",
    "top-1": "Percentage of samples whose class with the highest score is the label.",
    "top-1 changed": "Samples whose top-1 is another one than that of the float32 artifact.",
    "top-5": "Percentage of samples whose label is among the five classes with the highest scores.",
    "total": "Sum of all steps of a split: the loss of the trial, or the RMS of the error of its output.",
    "total variation": "Half the sum of all differences between the class probabilities of variant and reference: 0 "
    "means equal, 1 no class in common. It is finite where the KL divergence is infinite.",
    "trial": "One variant in one runtime: one row of the table.",
    "values outside": "Percentage of the values of the scored samples that lie outside the range of the "
    "calibration samples, or of an artifact's codes.",
    "variant": "The artifact that a setting makes from the model, or a file given with --variant.",
    "verdict": "Whether a setting keeps the budget: FITS, BREAKS or INCONCLUSIVE (too few samples to decide).",
    "weight": "A constant of an artifact: a kernel, a bias or another stored tensor.",
    "what": "What happened to a sample: it became wrong, right, worse or better, or its output moved.",
    "worst channel": "The channel of a tensor with the lowest SQNR. "
    "A good SQNR of the whole tensor can hide one bad channel.",
}
"""Term → explanation, in alphabetical order without regard to case."""

SYNONYMS: Mapping[str, str] = {
    "% worse [95 %]": "became worse / better",
    "90th percentile [95 %]": "90th percentile",
    "accuracy %": "position accuracy",
    "accuracy loss [95 %]": "accuracy loss",
    "added MB": "added memory",
    "after": "before / after",
    "all but this op: KL [95 %]": "all but this op",
    "all but this op: MSE [95 %]": "all but this op",
    "allowed": "budget",
    "became better": "became worse / better",
    "became worse": "became worse / better",
    "before": "before / after",
    "brotli KB": "brotli",
    "bytes": "size",
    "class": "class loss",
    "copy of": "duplicates",
    "difference from python": "largest difference",
    "different": "different values",
    "different top-1, at most": "different top-1",
    "error after": "error before / after",
    "error before": "error before / after",
    "first layer beyond half precision": "half precision",
    "first run ms": "first run",
    "flips": "became wrong / right",
    "float parity": "float32 check",
    "gzip KB": "gzip",
    "isolated SQNR dB": "isolated SQNR",
    "its activations: KL [95 %]": "its activations",
    "its activations: MSE [95 %]": "its activations",
    "its weights: KL [95 %]": "its weights",
    "its weights: MSE [95 %]": "its weights",
    "JS mean": "Jensen–Shannon divergence",
    "KB": "size",
    "kind": "duplicates",
    "KL mean": "KL divergence",
    "load ms": "load time",
    "lock": "accepted figures",
    "loss": "accuracy loss",
    "loss from float32, points [95 %]": "loss from float32",
    "loss from python, points [90 %]": "accuracy loss",
    "loss, points [95 %]": "accuracy loss",
    "MAE loss": "accuracy loss",
    "MAE loss [95 %]": "accuracy loss",
    "maximum": "minimum",
    "mean IoU %": "mean IoU",
    "mean IoU loss [95 %]": "accuracy loss",
    "measure": "split",
    "median change [95 %]": "change",
    "median ms": "median",
    "no matching layer": "layer",
    "on all samples: changed": "top-1 changed",
    "only this op: KL [95 %]": "only this op",
    "only this op: MSE [95 %]": "only this op",
    "p (Holm)": "Holm's correction",
    "p95 ms": "p95",
    "peak MB": "peak memory",
    "points": "percentage point",
    "preprocessing": "split",
    "pt": "percentage point",
    "range in the model": "range",
    "range of": "minimum",
    "range in the variant": "range",
    "RMSE loss": "accuracy loss",
    "same class % [95 %]": "agreement",
    "same top-1": "agreement",
    "same top-1 % [95 %]": "agreement",
    "sample": "samples",
    "SQNR dB": "SQNR",
    "top-1 %": "top-1",
    "top-1 % [95 %]": "top-1",
    "top-1 changed: all but": "top-1 changed",
    "top-1 changed: only": "top-1 changed",
    "top-5 %": "top-5",
    "top-5 loss": "accuracy loss",
    "TV mean": "total variation",
    "values": "different values",
    "version": "op",
    "weights": "weight",
    "why missing": "split",
    "why not compared": "notes",
    "worst channel SQNR dB": "worst channel",
    "call": "attempt",
    "code": "codes",
    "dtype": "port",
    "name": "port",
    "range seen": "range",
    "another answer": "outcome",
    "refused": "outcome",
    "same answer": "outcome",
}
"""Headings of columns and other words → the term that explains them."""


def explained(name: str) -> tuple[str, str] | None:
    """The term that a name stands for, and its explanation; None if there is none.

    >>> explained("Top-1 %")
    ('top-1', 'Percentage of samples whose class with the highest score is the label.')
    >>> explained("flavour") is None
    True
    """
    terms = {term.casefold(): term for term in GLOSSARY}
    synonyms = {synonym.casefold(): term for synonym, term in SYNONYMS.items()}
    known = name.strip().casefold()
    term = terms.get(known) or synonyms.get(known)
    return None if term is None else (term, GLOSSARY[term])


def anchor_of(term: str) -> str:
    """The name of a term's heading in the page, as GitHub makes it.

    >>> anchor_of("became wrong / right"), anchor_of("top-1"), anchor_of("KL std. error")
    ('became-wrong--right', 'top-1', 'kl-std-error')
    """
    kept = "".join(letter for letter in term.lower() if letter.isalnum() or letter in "-_ ")
    return kept.replace(" ", "-")
