"""What errors of TensorFlow Serving mean, and what to do.

The texts are those of its documentation (https://www.tensorflow.org/tfx/serving/api_rest) and of its sources:
`http_rest_api_handler.cc`, `json_tensor.cc`, `predict_util.cc` and `aspired_versions_manager.cc`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from quantlab.names import without_controls

__all__ = ["ERRORS", "KnownError", "explained"]


@dataclass(frozen=True, slots=True)
class KnownError:
    """An error that is recognized by its text."""

    pattern: str
    """A regular expression for a part of the text; its groups are put into the meaning."""
    meaning: str
    """A sentence without a full stop."""


ERRORS: Sequence[KnownError] = (
    KnownError(
        r"Servable not found for request: Latest\((.*?)\)",
        "the server has no model '{0}'; correct the name in --serving, or look into its log if it could not be loaded",
    ),
    KnownError(
        r"Servable not found for request: Specific\((.*?), (\d+)\)",
        "the server does not serve version {1} of the model '{0}' (any more); name another version in --serving",
    ),
    KnownError(
        r"Could not find any versions of model (\S+)",
        "the server has no version of the model '{0}'; correct the name in --serving, or wait until it is loaded",
    ),
    KnownError(
        r"Malformed request: (\S+) (\S+)",
        "the server knows no '{1}'; the address in --serving must be http://HOST:PORT/v1/models/NAME",
    ),
    KnownError(
        r"Failed to convert version: (\S+) to numeric",
        "the version '{0}' is not a number that the server takes; correct it in --serving",
    ),
    KnownError(
        r"Missing model name in request", "the address in --serving lacks the name of the model after /v1/models/"
    ),
    KnownError(
        r'Serving signature (?:name|key): "(.*?)" not found',
        "the served model has no signature '{0}'; serve the SavedModel that the study is about, or choose another with "
        "--signature",
    ),
    KnownError(
        r"Failed to get input map for signature: (\S+)",
        "the signature '{0}' of the served model takes no inputs; choose another with --signature",
    ),
    KnownError(
        r"instances is a plain list, but expecting list of objects",
        "the served model has several inputs, and the model of the study has one: they are different models",
    ),
    KnownError(
        r"inputs is a plain value/list, but expecting an object",
        "the served model has several inputs, and the model of the study has one: they are different models",
    ),
    KnownError(
        r"does not have named input: (\S+)",
        "the served model has no input '{0}'; serve the SavedModel that the study is about",
    ),
    KnownError(
        r"Missing named input: (\S+) in 'inputs'",
        "the served model has an input '{0}', which the model of the study does not have; serve the SavedModel "
        "that the study is about",
    ),
    KnownError(
        r"keys must be equal to: (\S+)",
        "the served model has the inputs {0}, and not those of the model of the study; serve the SavedModel that the "
        "study is about",
    ),
    KnownError(
        r"JSON Value: (.+?) Type: \w+ is not of expected type: (\w+)",
        "the served model takes {1}, and the samples hold {0}; give samples in the dtype of the served model, or serve "
        "the SavedModel that the study is about",
    ),
    KnownError(
        r"Cannot convert JSON value: (\S+) to (\w+) without loss of precision",
        "the value {0} does not fit into {1}, which the served model takes; scale the samples to its range",
    ),
    KnownError(
        r"Conversion of JSON Value: .* to type: (\w+)",
        "the REST protocol has no values of type {0}; send float32, and let the model cast it",
    ),
    KnownError(
        r"(?:Expecting tensor size: \d+|Expecting shape \S+) but got: (\S+)",
        "samples of one request have different shapes, one of them {0}, and quantlab sends one shape; look for what "
        "changes requests on their way",
    ),
    KnownError(
        r"(?:found at incorrect level|Encountered list at unexpected (?:level|size))",
        "the nested lists of a sample are no tensor: their depths or lengths differ",
    ),
    KnownError(
        r"not formatted correctly for base64 data|Unable to base64 decode",
        'the served model takes bytes, which are sent as {{"b64": …}}; samples that are numbers do not fit it',
    ),
    KnownError(
        r"has (?:inconsistent batch size|no shape information)",
        "an output of the served model has no batch dimension, so rows ('instances') cannot be answered; columns "
        "('inputs') can",
    ),
    KnownError(r"JSON Parse error: (.+)", "the server could not read the request as JSON ({0})"),
    KnownError(
        r"Missing 'inputs' or 'instances' key|Excepting 'instances' to be an list|No values in 'instances'|"
        r"expecting only one of 'inputs' or 'instances'|'signature_name' key must be a string|Is not object",
        "the server expects a request of another form; is it TensorFlow Serving, and is there a proxy before it?",
    ),
    KnownError(
        r"input size does not match signature: (\S+)",
        "the served model has another number of inputs ({0}); serve the SavedModel that the study is about",
    ),
    KnownError(
        r"(?:must be (\d+)-dimensional|input must be rank \d+|expected ndim=(\d+)|Matrix size-incompatible|"
        r"Input to reshape is a tensor with|Incompatible shapes|expects a vector of size|"
        r"input depth must be evenly divisible)",
        "the samples have another rank or shape than the served model takes: perhaps a dimension of the batch or of "
        "the channels is missing or too many",
    ),
    KnownError(
        r"(?:Could not find variable|uninitialized value|Error while reading resource variable)",
        "the served model has variables that were not loaded; export it again, with its folder 'variables'",
    ),
)
"""In the order in which they are looked for."""


def explained(status: int, text: str) -> str:
    """What an error of a server means, as a sentence without a full stop.

    >>> explained(404, "Servable not found for request: Latest(half)")
    "the server has no model 'half'; correct the name in --serving, or look into its log if it could not be loaded \
(it says: Servable not found for request: Latest(half))"

    Args:
        status: The HTTP status.
        text: The error of the body; empty if it has none.
    """
    said = without_controls(" ".join(text.split()))
    quoted = said if len(said) <= _QUOTED else f"{said[:_QUOTED]}…"
    for known in ERRORS:
        match = re.search(known.pattern, said)
        if match is not None:
            return f"{known.meaning.format(*(group or '' for group in match.groups()))} (it says: {quoted})"
    if status in _BY_STATUS:
        return f"{_BY_STATUS[status]} (HTTP status {status}{f': {quoted}' if quoted else ''})"
    return f"the server refused the request (HTTP status {status}{f': {quoted}' if quoted else ''})"


_QUOTED = 300
_BY_STATUS = {
    401: "the server asks for a password or token, which quantlab does not send; give an address that asks for none",
    403: "the server does not allow the request; give an address at which it is allowed",
    404: "the server has no model at this address; correct --serving",
    413: "the request is too large for the server; send fewer samples in each with --batch-size",
    429: "the server refuses so many requests; ask it at another time, or score fewer samples with --limit",
    500: "the server failed; its log may say why",
    502: "a proxy before the server got no valid answer from it; its log may say why",
    503: "the server is not ready; wait until the model is loaded",
    504: "a proxy before the server got no answer in time; send fewer samples in each with --batch-size",
}
