"""An in-toto statement about an artifact: what `quantlab gate --attest` writes, for the tools that sign statements.

| key | description |
|---|---|
| `_type` | `https://in-toto.io/Statement/v1` |
| `subject` | the files of the artifact: `name`, relative to its folder, and `digest.sha256`, as `sha256sum` prints it |
| `predicateType` | `https://in-toto.io/attestation/test-result/v0.1` |
| `predicate` | the result of the gate, see below |

Of the predicate:

| key | description |
|---|---|
| `result` | `PASSED`: the settings fit; `WARNED`: too few samples, with `--undecided warn`; `FAILED`: anything else |
| `configuration` | what the result depends on: `budget`, `model` and `samples`, each with `digest.sha256` |
| `passedTests`, `warnedTests`, `failedTests` | names of tests, `<study>.<setting>.<runtime>` |
| `quantlab` | the figures, see below; in-toto lets tools add such a field |

The `annotations` of `budget` are the limits as text, as in a policy file, and its digest is that of these annotations
as compact JSON with sorted keys. The digests of `model` and `samples` are those that a study records; that of `samples`
covers tensors and labels.

Of `quantlab`:

| key | description |
|---|---|
| `schema` | 1; new keys may be added, and existing keys keep their meaning |
| `study` | the study's name |
| `artifact_sha256` | the hash by which the study knows the artifact: of all files with their names |
| `plan` | `settings_judged`, `settings_of_study`, `tuning_candidates`, the rules `several` and `look` |
| `untested` | environments of the target that the study did not run, in words |
| `settings` | the settings that have these bytes: `setting`, `quantized`, `size_bytes`, `judgements` |

A judgement has `outcome`, `reason`, `n`, `loss` with its bounds, and `margin`; they mean the same as in `gate --json`.
`gate --attested` refuses figures that contradict each other, and prints a reason from them instead of `reason`.
"""

import json
from typing import Any

from quantlab.gate import Attestation
from quantlab.gate.attestation import tests_of
from quantlab.gate.statement import (
    ATTESTATION_SCHEMA,
    EXTENSION,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    budget_sha256,
    budget_texts,
)
from quantlab_reports.model import plain

__all__ = ["render_attestation"]


def render_attestation(attestation: Attestation) -> str:
    """Render what is attested as JSON with sorted keys; the same attestation gives the same text.

    `quantlab.gate.read_attestation` is the inverse.
    """
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in sorted(attestation.files.items())],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": attestation.result,
            "configuration": _configuration(attestation),
            **tests_of(attestation),
            EXTENSION: _figures(attestation),
        },
    }
    return json.dumps(plain(document), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _configuration(attestation: Attestation) -> list[dict[str, Any]]:
    texts = budget_texts(attestation.verdict.budget)
    return [
        {"name": "budget", "digest": {"sha256": budget_sha256(texts)}, "annotations": texts},
        {"name": "model", "digest": {"sha256": attestation.model_sha256}},
        {"name": "samples", "digest": {"sha256": attestation.samples_sha256}},
    ]


def _figures(attestation: Attestation) -> dict[str, Any]:
    return {
        "schema": ATTESTATION_SCHEMA,
        "study": attestation.verdict.study,
        "artifact_sha256": attestation.artifact_sha256,
        "plan": attestation.plan,
        "untested": attestation.verdict.untested,
        "settings": attestation.verdict.settings,
    }
