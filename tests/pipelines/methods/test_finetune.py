"""Fine-tuning a student on labels as a method of `distill` and `run`."""

from __future__ import annotations

import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from tests.pipelines.jobs import done, everything, kill, refused, start, wait_for
from tests.pipelines.methods.test_bert_pkd import OF_DISTILL, without
from tests.pipelines.training.verbs import ahead, distill, finetune, metrics, run, run_json

METHOD = ("--method", "finetune")


def tune(parts, out, *more) -> list[str]:
    """`distill` by the method's own defaults."""
    command = without(distill(parts, out), "--student", *OF_DISTILL)
    return [*command, *METHOD, "--encoder", str(parts.encoder), *map(str, more)]


@pytest.mark.integration
def test_what_it_leaves_after_a_kill_too(parts, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    more = ("--epochs-prediction", 12, "--checkpoint-every", 3)
    assert "nothing was written" in done(*tune(parts, whole, *more, "--dry-run")).out
    assert not whole.exists()
    done(*tune(parts, whole, *more))
    process = start(*tune(parts, killed, *more))
    wait_for(lambda: list((killed / "labels").glob("step-*")), process)
    kill(process)
    assert not (killed / "metrics.json").exists()
    done(*tune(parts, killed, *more))
    for name in ("model.safetensors", "labels/losses.csv", "labels/dev.csv", "README.md"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    told, found = run_json(whole), metrics(whole)
    assert told["settings"]["method"] == "finetune"
    assert "cache" not in told["resolved"]
    assert (found["layer_map"], list(found["stages"])) == ([], ["labels"])
    assert next(csv.reader((whole / "labels/losses.csv").open()))[-2:] == ["loss", "labels"]
    assert not (whole / "teacher_cache").exists()
    assert done("status", whole).out.endswith("complete\n")
    card = (whole / "README.md").read_text()
    assert "fine-tuned on labels by `tinyaug distill`" in card
    assert "- method: fine-tuning on labels; nothing is learnt from the teacher\n" in card
    before = everything(whole)
    assert "everything was done already" in done(*tune(parts, whole, *more)).out
    assert everything(whole) == before


def test_it_learns_what_the_verb_does(parts, tmp_path):
    start_from = ("--student-init", parts.encoder, "--student", parts.encoder, "--epochs-prediction", 1)
    done(*without(tune(parts, tmp_path / "method", *start_from), "--encoder"))
    done(*finetune(parts, tmp_path / "verb", "--epochs", 1, "--batch-size", 32))
    mine, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("method", "verb"))
    assert mine.keys() == theirs.keys()
    assert all((mine[name] - theirs[name]).abs().max() < 1e-6 for name in mine)


def test_it_learns_the_labels_of_shards(parts, tmp_path):
    done(*tune(parts, tmp_path / "s", "--train", parts.train, "--max-steps", 2))
    rows = sum(pq.read_metadata(path).num_rows for path in (parts.train / "data").glob("*.parquet"))
    assert metrics(tmp_path / "s")["stages"]["labels"]["rows"] == rows > 60
    for labels, said in (([0, -1], "row 1, column 'label': expected a label"), (["negative", "1"], "or their numbers")):
        pq.write_table(pa.table({"sentence": ["a", "b"], "label": labels}), tmp_path / "mine.parquet")
        assert said in refused(tune(parts, tmp_path / "t", "--train", tmp_path / "mine.parquet"))
    pq.write_table(pa.table({"sentence": ["a", "b"]}), tmp_path / "mine.parquet")
    assert "label" in refused(tune(parts, tmp_path / "t", "--train", tmp_path / "mine.parquet"))
    assert not (tmp_path / "t").exists()


def test_what_is_refused(parts, tmp_path):
    for typed in (("--temperature", 2), ("--cache", "full"), ("--rebuild-cache",)):
        said = refused(tune(parts, tmp_path / "s", *typed))
        assert typed[0] in said
        assert "expected a method that learns from its teacher beside it" in said
    command = [*without(ahead(parts, tmp_path / "s", train=False), "--student", "--student-init"), *METHOD]
    assert "--method finetune: expected a method that learns from its teacher" in refused(command)
    assert not (tmp_path / "s").exists()


def test_a_run_compares_it_with_the_teacher(parts, tmp_path):
    command = without(run(parts, tmp_path / "run"), "--student", "--n", "--glove", "--engine", "--workers", *OF_DISTILL)
    assert "labels" in done(*command, *METHOD, "--dry-run").out
    done(*command, *METHOD)
    found = metrics(tmp_path / "run")
    assert list(found["stages"]) == ["finetune", "labels"]
    assert set(found["dev"]) == {"teacher", "student"}
    assert not (tmp_path / "run/augmented").exists()
