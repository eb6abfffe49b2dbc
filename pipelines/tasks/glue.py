"""The nine tasks of GLUE, named and ordered as in the hub's `glue` dataset.

All that is particular to a task stands here: to add a task that is laid out as GLUE's are is to add it to `_TASKS`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.tasks.squad import SQUAD
from pipelines.tasks.task import Label, Task, listed, near, plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAIR = ("sentence1", "sentence2")
_MATTHEWS = ("matthews", "accuracy")
_F1 = ("f1", "accuracy")
_LARGE = (5, 256)  # epochs and batch size of tasks with 100,000 and more training examples


def _classes(*names: str) -> Label:
    return Label("label", "class", names)


def _parts(*parts: str, also: str = "") -> Mapping[str, tuple[str, ...]]:
    """Each part with the names that its file may have: `validation_matched` is `dev_matched.tsv`."""
    names = ("{}.tsv", also) if also else ("{}.tsv",)
    return {part: tuple(name.format(part.replace("validation", "dev")) for name in names) for part in parts}


_PARTS = _parts("train", "validation", "test")
_NLI = _classes("entailment", "neutral", "contradiction")
_NLI_TEXTS = ("premise", "hypothesis")
_NLI_COLUMNS = {"premise": "sentence1", "hypothesis": "sentence2", "label": "gold_label"}

_TASKS = (
    Task(
        "cola",
        ("sentence",),
        _classes("unacceptable", "acceptable"),
        _PARTS,
        headerless=("source", "label", "star", "sentence"),
        metrics=_MATTHEWS,
        intermediate=(50, 32),
        official_n=30,
        submission=("CoLA.tsv",),
    ),
    Task("sst2", ("sentence",), _classes("negative", "positive"), _PARTS, submission=("SST-2.tsv",)),
    Task(
        "mrpc",
        _PAIR,
        _classes("not_equivalent", "equivalent"),
        _parts("train", "validation", "test", also="msr_paraphrase_{}.txt"),
        file_columns={"sentence1": "#1 String", "sentence2": "#2 String", "label": "Quality"},
        metrics=_F1,
        official_n=30,
        submission=("MRPC.tsv",),
    ),
    Task(
        "stsb",
        _PAIR,
        Label("label", "score", low=0.0, high=5.0),
        _PARTS,
        file_columns={"label": "score"},
        metrics=("spearman", "pearson"),
        official_n=30,
        submission=("STS-B.tsv",),
    ),
    Task(
        "qqp",
        ("question1", "question2"),
        _classes("not_duplicate", "duplicate"),
        _PARTS,
        file_columns={"label": "is_duplicate"},
        metrics=_F1,
        intermediate=_LARGE,
        official_n=10,
        submission=("QQP.tsv",),
    ),
    Task(
        "mnli",
        _NLI_TEXTS,
        _NLI,
        _parts("train", "validation_matched", "validation_mismatched", "test_matched", "test_mismatched"),
        file_columns=_NLI_COLUMNS,
        intermediate=_LARGE,
        official_n=10,
        submission=("MNLI-m.tsv", "MNLI-mm.tsv"),
        submits_names=True,
    ),
    Task(
        "qnli",
        ("question", "sentence"),
        _classes("entailment", "not_entailment"),
        _PARTS,
        intermediate=_LARGE,
        submission=("QNLI.tsv",),
        submits_names=True,
    ),
    Task(
        "rte",
        _PAIR,
        _classes("entailment", "not_entailment"),
        _PARTS,
        official_n=30,
        submission=("RTE.tsv",),
        submits_names=True,
    ),
    Task("wnli", _PAIR, _classes("not_entailment", "entailment"), _PARTS, submission=("WNLI.tsv",)),
)

GLUE: Mapping[str, Task] = MappingProxyType({task.name: task for task in _TASKS})
"""Tasks by name; label names in the order of the hub's ClassLabel."""

DIAGNOSTIC = Task(
    "ax",
    _NLI_TEXTS,
    _NLI,
    _parts("test"),
    file_columns=_NLI_COLUMNS,
    metrics=_MATTHEWS,
    submission=("AX.tsv",),
    submits_names=True,
)
"""GLUE's diagnostic set, which a model of MNLI answers."""


def find_task(name: str) -> Task:
    """The task of GLUE or SQuAD of that name; case, hyphens and underscores do not matter ("SST-2", "sts_b").

    Raises:
        UserError: If there is no such task.
    """
    task = {**GLUE, **SQUAD}.get(plain_name(name))
    if task is None:
        raise UserError(
            f"expected a task: {listed([*GLUE, *(one.name for one in SQUAD.values())])} or custom; found {name!r}."
            f"{near(name, [*GLUE, *SQUAD])} "
            "For your own files use --task custom with --data FILE --text COLUMN --label COLUMN."
        )
    return task
