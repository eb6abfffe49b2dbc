"""Metrics, predictions and the GLUE server's layout, for every task."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.errors import UserError
from pipelines.evaluating.submission import FILES, add_to_archive, submission_file, submitted_parts
from pipelines.tasks import GLUE
from tests.pipelines.jobs import done, sentences, tinyaug
from tests.pipelines.training.verbs import evaluate, finetune, metrics

NAMES = ["negative", "positive"]
SERVER = {
    "CoLA.tsv", "SST-2.tsv", "MRPC.tsv", "STS-B.tsv", "QQP.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "QNLI.tsv", "RTE.tsv",
    "WNLI.tsv", "AX.tsv",
}  # fmt: skip


def test_every_task_has_its_files():
    assert FILES == SERVER
    assert all(task.submission for task in GLUE.values())
    assert submitted_parts(GLUE["mnli"]) == ("test_matched", "test_mismatched")


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode()), delimiter="\t"))


@pytest.mark.parametrize(
    ("task", "answers"),
    [
        ("cola", ["1", "0"]),
        ("sst2", ["1", "0"]),
        ("mrpc", ["1", "0"]),
        ("qqp", ["1", "0"]),
        ("wnli", ["1", "0"]),
        ("qnli", ["not_entailment", "entailment"]),
        ("rte", ["not_entailment", "entailment"]),
        ("mnli", ["neutral", "entailment"]),
    ],
)
def test_answers_as_the_server_wants_them(task, answers):
    logits = np.zeros((2, len(GLUE[task].label.names)), np.float32)
    logits[0, 1] = logits[1, 0] = 1
    rows = read(submission_file(GLUE[task], logits))
    assert rows == [["index", "prediction"], ["0", answers[0]], ["1", answers[1]]]


def test_scores_are_held_within_their_scale():
    rows = read(submission_file(GLUE["stsb"], np.array([[-0.3], [2.5], [5.7]], np.float32)))
    assert [row[1] for row in rows[1:]] == ["0.000", "2.500", "5.000"]


def test_an_archive_collects_tasks(tmp_path):
    path = tmp_path / "glue.zip"
    assert add_to_archive(path, {"RTE.tsv": b"old"}) == sorted(SERVER - {"RTE.tsv"})
    assert add_to_archive(path, dict.fromkeys(SERVER - {"CoLA.tsv"}, b"new")) == ["CoLA.tsv"]
    with zipfile.ZipFile(path) as archive:
        assert archive.read("RTE.tsv") == b"new"
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match="expected a zip archive"):
        add_to_archive(path, {"RTE.tsv": b""})
    assert path.read_bytes() == b"no archive"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_predictions(parts, tmp_path, suffix):
    path = tmp_path / f"dev{suffix}"
    ran = done(*evaluate(parts, parts.teacher, "--predictions", path, "--json", tmp_path / "m.json"))
    if suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        rows = list(csv.DictReader(path.open(), delimiter="\t" if suffix == ".tsv" else ","))
    assert [int(row["row"]) for row in rows] == list(range(30))
    assert [row["label"] for row in rows[:4]] == ["negative", "positive"] * 2
    agreed = sum(row["label"] == row["prediction"] for row in rows) / 30
    told = json.loads((tmp_path / "m.json").read_text())
    assert told["dev"]["validation"]["accuracy"] == pytest.approx(agreed)
    assert told["dev"] == metrics(parts.teacher)["dev"]
    by_class = told["classes"]["validation"]
    assert [[sum(row["label"] == one and row["prediction"] == other for row in rows) for other in NAMES]
            for one in NAMES] == by_class["confusion"]  # fmt: skip
    assert by_class["macro_f1"] == pytest.approx(sum(by_class["classes"][one]["f1"] for one in NAMES) / 2)
    lines = [line.split() for line in ran.out.splitlines()]
    shown = {line[0]: line[1:] for line in lines if line and line[0] in NAMES}
    assert [shown[one][-2:] for one in NAMES] == [list(map(str, found)) for found in by_class["confusion"]]
    assert float(rows[0]["p_negative"]) + float(rows[0]["p_positive"]) == pytest.approx(1)


def test_submission_of_a_task(parts, tmp_path):
    ran = done(*evaluate(parts, parts.teacher, "--submission", tmp_path / "sst2.zip"))
    assert "the server also wants AX.tsv, CoLA.tsv" in ran.out
    with zipfile.ZipFile(tmp_path / "sst2.zip") as archive:
        assert archive.namelist() == ["SST-2.tsv"]
        rows = read(archive.read("SST-2.tsv"))
    assert rows[0] == ["index", "prediction"]
    assert [int(row[0]) for row in rows[1:]] == list(range(11))
    assert {row[1] for row in rows[1:]} <= {"0", "1"}


def write_mnli(folder):
    """The classic layout with both dev and test parts, and the diagnostic set beside it."""
    folder.mkdir()
    texts = list(sentences(12))
    names = ("entailment", "neutral", "contradiction")
    for part, rows, label in (("train", 12, "gold_label"), ("dev_matched", 6, "gold_label"),
                              ("dev_mismatched", 7, "gold_label"), ("test_matched", 5, ""),
                              ("test_mismatched", 4, "")):  # fmt: skip
        lines = ["\t".join(["index", "sentence1", "sentence2", *([label] if label else [])])]
        for row in range(rows):
            lines.append("\t".join([str(row), texts[row], texts[-row], *([names[row % 3]] if label else [])]))
        (folder / f"{part}.tsv").write_text("\n".join([*lines, ""]))
    (folder / "diagnostic.tsv").write_text("index\tsentence1\tsentence2\n0\ta film\ta movie\n1\ta cat\ta dog\n")
    return folder


def test_mnli_is_judged_on_both_dev_parts_and_answers_the_diagnostic_set(parts, tmp_path):
    data = write_mnli(tmp_path / "MNLI")
    done(*finetune(parts, tmp_path / "t", "--task", "mnli", "--data", data, "--max-steps", 1))
    assert list(metrics(tmp_path / "t")["dev"]) == ["validation_matched", "validation_mismatched"]
    archive = tmp_path / "mnli.zip"
    done(*evaluate(parts, tmp_path / "t", "--task", "mnli", "--data", data, "--submission", archive))
    with zipfile.ZipFile(archive) as found:
        lengths = {name: len(read(found.read(name))) - 1 for name in found.namelist()}
    assert lengths == {"AX.tsv": 2, "MNLI-m.tsv": 5, "MNLI-mm.tsv": 4}
    (data / "diagnostic.tsv").unlink()
    archive.unlink()
    ran = done(*evaluate(parts, tmp_path / "t", "--task", "mnli", "--data", data, "--submission", archive))
    assert "no diagnostic set" in ran.err


def test_a_score_is_learnt_and_judged_by_correlation(parts, tmp_path):
    data = tmp_path / "scores.csv"
    data.write_text("text,stars\n" + "".join(f"{text},{row % 5}\n" for row, text in enumerate(sentences(20))))
    (tmp_path / "dev").mkdir()
    for name in ("train", "dev"):
        (tmp_path / "dev" / f"{name}.csv").write_text(data.read_text())
    columns = ("--task", "custom", "--text", "text", "--label", "stars", "--label-type", "score")
    done(*finetune(parts, tmp_path / "t", *columns, "--data", tmp_path / "dev", "--max-steps", 2))
    assert set(metrics(tmp_path / "t")["dev"]["validation"]) == {"spearman", "pearson"}
    judged = ("--data", tmp_path / "dev", "--model", tmp_path / "t", "--json", tmp_path / "m.json")
    done(*evaluate(parts, tmp_path / "t", *columns, *judged))
    assert json.loads((tmp_path / "m.json").read_text())["classes"] == {}
    assert json.loads((tmp_path / "t/config.json").read_text())["problem_type"] == "regression"


def test_what_cannot_be_evaluated(parts, tmp_path):
    for more, said in (
        (("--model", "/nowhere/m"), "model: expected a model folder"),
        (("--model", parts.encoder), "found no task head"),
        (("--predictions", "dev.xlsx"), "expected a name that ends in .csv"),
        (("--batch-size", 0), "--batch-size: expected a number of at least 1"),
        (("--max-length", 3), "--max-length: expected a number of at least 8"),
        (("--task", "rte"), "sentence1"),
    ):
        ran = tinyaug(*evaluate(parts, parts.teacher, *more))
        assert ran.code == 2, ran.err
        assert said in ran.err


def test_a_split_off_dev_part_and_data_that_changed_since_the_run(parts, tmp_path):
    data, split = tmp_path / "data.csv", ("--text", "sentence", "--label", "label", "--dev-split", 0.2)
    lines = (parts.data / "train.tsv").read_text().splitlines()
    data.write_text("\n".join(line.replace("\t", ",") for line in lines) + "\n")
    done(*finetune(parts, tmp_path / "run", "--task", "custom", "--data", data, *split, "--max-steps", 1))
    command = ("evaluate", "--run", tmp_path / "run")
    assert "data.csv" not in done(*command, "--predictions", tmp_path / "dev.csv").err
    predicted = list(csv.DictReader((tmp_path / "dev.csv").open()))
    texts = [row["sentence"] for row in csv.DictReader(data.open())]
    held = [row["sentence"] for row in pq.read_table(tmp_path / "run/data/validation.parquet").to_pylist()]
    assert [texts[int(row["row"])] for row in predicted] == held
    assert len(held) == 12
    before = data.stat().st_size
    data.write_text(data.read_text() + "one more,1\n")
    told = f"other content of the input file data.csv ({before:,} bytes then, {before + 11:,} now)"
    assert told in " ".join(done(*command).err.split())
    (tmp_path / "other.csv").write_bytes(data.read_bytes())
    assert "other content" not in done(*command, "--data", tmp_path / "other.csv", "--dev-split", 0.2).err
