from __future__ import annotations

import subprocess
import sys

import pytest

from distill.metrics import Metric
from pipelines.errors import UserError
from pipelines.tasks import GLUE, find_task


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("SST-2", "sst2"), ("sst2", "sst2"), ("STS-B", "stsb"), ("sts_b", "stsb"), ("MNLI", "mnli"), ("CoLA", "cola")],
)
def test_spellings(spelling, name):
    assert find_task(spelling).name == name


def test_unknown_task_names_all_and_the_nearest():
    with pytest.raises(UserError, match=r"cola, sst2, .* or custom; found 'qqqp'\. Did you mean 'qqp'"):
        find_task("qqqp")


def test_columns_and_labels_are_the_hubs():
    assert {name: task.text_columns for name, task in GLUE.items()} == {
        "cola": ("sentence",),
        "sst2": ("sentence",),
        "mrpc": ("sentence1", "sentence2"),
        "stsb": ("sentence1", "sentence2"),
        "qqp": ("question1", "question2"),
        "mnli": ("premise", "hypothesis"),
        "qnli": ("question", "sentence"),
        "rte": ("sentence1", "sentence2"),
        "wnli": ("sentence1", "sentence2"),
    }
    assert {name: task.label.names for name, task in GLUE.items()} == {
        "cola": ("unacceptable", "acceptable"),
        "sst2": ("negative", "positive"),
        "mrpc": ("not_equivalent", "equivalent"),
        "stsb": (),
        "qqp": ("not_duplicate", "duplicate"),
        "mnli": ("entailment", "neutral", "contradiction"),
        "qnli": ("entailment", "not_entailment"),
        "rte": ("entailment", "not_entailment"),
        "wnli": ("not_entailment", "entailment"),
    }


def test_what_the_paper_the_authors_code_and_the_server_have_by_task():
    assert {name: (task.metrics[0], task.intermediate, task.official_n) for name, task in GLUE.items()} == {
        "cola": ("matthews", (50, 32), 30),
        "sst2": ("accuracy", (10, 32), 20),
        "mrpc": ("f1", (10, 32), 30),
        "stsb": ("spearman", (10, 32), 30),
        "qqp": ("f1", (5, 256), 10),
        "mnli": ("accuracy", (5, 256), 10),
        "qnli": ("accuracy", (5, 256), 20),
        "rte": ("accuracy", (10, 32), 30),
        "wnli": ("accuracy", (10, 32), 20),
    }
    assert {metric for task in GLUE.values() for metric in task.metrics} <= set(Metric)
    assert GLUE["mnli"].submitted == {"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv"}


def test_nothing_heavy_is_imported():
    heavy = "{'torch', 'transformers', 'ray', 'typer', 'datasets', 'gensim', 'pyarrow.parquet'}"
    code = f"import pipelines.tasks, sys; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
