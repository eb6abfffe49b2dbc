"""The nine tasks of GLUE, named and ordered as in the hub's `glue` dataset."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.tasks.task import Label, Task, listed, near

if TYPE_CHECKING:
    from collections.abc import Mapping

_PARTS = MappingProxyType({"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"})
_MNLI_PARTS = MappingProxyType(
    {
        "train": "train.tsv",
        "validation_matched": "dev_matched.tsv",
        "validation_mismatched": "dev_mismatched.tsv",
        "test_matched": "test_matched.tsv",
        "test_mismatched": "test_mismatched.tsv",
    }
)
_PAIR = ("sentence1", "sentence2")


def _classes(*names: str) -> Label:
    return Label("label", "class", names)


GLUE: Mapping[str, Task] = MappingProxyType(
    {
        "cola": Task("cola", ("sentence",), _classes("unacceptable", "acceptable"), _PARTS),
        "sst2": Task("sst2", ("sentence",), _classes("negative", "positive"), _PARTS),
        "mrpc": Task("mrpc", _PAIR, _classes("not_equivalent", "equivalent"), _PARTS),
        "stsb": Task("stsb", _PAIR, Label("label", "score", low=0.0, high=5.0), _PARTS),
        "qqp": Task("qqp", ("question1", "question2"), _classes("not_duplicate", "duplicate"), _PARTS),
        "mnli": Task(
            "mnli", ("premise", "hypothesis"), _classes("entailment", "neutral", "contradiction"), _MNLI_PARTS
        ),
        "qnli": Task("qnli", ("question", "sentence"), _classes("entailment", "not_entailment"), _PARTS),
        "rte": Task("rte", _PAIR, _classes("entailment", "not_entailment"), _PARTS),
        "wnli": Task("wnli", _PAIR, _classes("not_entailment", "entailment"), _PARTS),
    }
)
"""Tasks by name; label names in the order of the hub's ClassLabel."""


def find_task(name: str) -> Task:
    """The GLUE task of that name; case, hyphens and underscores do not matter ("SST-2", "sts_b").

    Raises:
        UserError: If there is no such task.
    """
    task = GLUE.get(plain_name(name))
    if task is None:
        raise UserError(
            f"expected a task: {listed(GLUE)} or custom; found {name!r}.{near(name, GLUE)} "
            "For your own files use --task custom with --data FILE --text COLUMN --label COLUMN."
        )
    return task


def plain_name(name: str) -> str:
    """A task's or folder's name without case and punctuation: "STS-B" → "stsb"."""
    return re.sub(r"[\W_]+", "", name).lower()
