"""Hostile input of the training verbs: one message that says what to do, exit 2, nothing lost."""

from __future__ import annotations

import fcntl
import json
import shutil

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from distill.metrics import AGREEMENTS, Metric
from distill.shapes import NAMED_SHAPES
from tests.fixtures import VOCABULARY, save_tiny_masked_lm
from tests.pipelines import jobs
from tests.pipelines.jobs import done, everything, tinyaug
from tests.pipelines.training.verbs import distill, evaluate, finetune, run


def refused(tmp_path, command: list[str]) -> str:
    """What is said; no model may come to be, and the folder must serve once the mistake is put right."""
    line = jobs.refused(command)
    assert line.startswith("tinyaug: error: "), line
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name != ".lock"]
    return line


@pytest.fixture
def teacher(parts, tmp_path):
    """A teacher to break."""
    return shutil.copytree(parts.teacher, tmp_path / "teacher")


@pytest.fixture
def shards(parts, tmp_path):
    """Shards to break."""
    return shutil.copytree(parts.train, tmp_path / "augmented")


def edit_json(path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_truncated_shard(parts, tmp_path, shards):
    victim = sorted((shards / "data").iterdir())[1]
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    said = refused(tmp_path, distill(parts, tmp_path / "out", "--train", shards))
    assert victim.name in said
    assert "cut off or damaged" in said


def test_shard_damaged_in_the_middle(parts, tmp_path, shards):
    """Its footer is whole: it shows when the rows are read, before anything was trained."""
    victim = sorted((shards / "data").iterdir())[1]
    content = bytearray(victim.read_bytes())
    content[4:200] = bytes(196)
    victim.write_bytes(bytes(content))
    assert victim.name in refused(tmp_path, distill(parts, tmp_path / "out", "--train", shards))


def test_missing_column(parts, tmp_path, shards):
    victim = sorted((shards / "data").iterdir())[0]
    pq.write_table(pq.read_table(victim).rename_columns({"sentence": "text"}), victim)
    said = refused(tmp_path, distill(parts, tmp_path / "out", "--train", shards))
    assert "expected columns sentence" in said
    assert "found text" in said


@pytest.mark.parametrize("label", ["7", "positiv", ""])
def test_label_out_of_range(parts, tmp_path, label):
    data = shutil.copytree(parts.data, tmp_path / "SST-2")
    (data / "train.tsv").write_text(f"sentence\tlabel\na good film\t1\na bad film\t{label}\n")
    said = refused(tmp_path, finetune(parts, tmp_path / "out", "--data", data))
    assert "train.tsv, line 3" in said
    (data / "train.tsv").write_text("sentence\tlabel\na good film\t1\na bad film\t0\n")
    done(*finetune(parts, tmp_path / "out", "--data", data, "--epochs", 1))


def test_teacher_that_says_nan(parts, tmp_path, teacher):
    weights = load_file(teacher / "model.safetensors")
    weights["classifier.bias"][0] = torch.nan
    save_file(weights, teacher / "model.safetensors", {"format": "pt"})
    said = refused(tmp_path, distill(parts, tmp_path / "out", "--teacher", teacher))
    assert f"teacher {teacher}" in said
    assert "NaN" in said


def test_teacher_that_says_nan_without_a_dev_part(parts, tmp_path, teacher):
    weights = load_file(teacher / "model.safetensors")
    weights["classifier.bias"][0] = torch.nan
    save_file(weights, teacher / "model.safetensors", {"format": "pt"})
    data = shutil.copytree(parts.data, tmp_path / "SST-2", ignore=shutil.ignore_patterns("dev.tsv"))
    said = refused(tmp_path, distill(parts, tmp_path / "out", "--teacher", teacher, "--data", data))
    assert f"teacher {teacher}: expected finite predictions; found NaN" in said


def test_student_of_another_vocabulary(parts, tmp_path):
    """A student that brings its own tokenizer must number tokens as its teacher does."""
    out = tmp_path / "student"
    done(*distill(parts, out, "--max-steps", 1))
    tokenizer = json.loads((out / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["good"], words["bad"] = words["bad"], words["good"]
    (out / "tokenizer.json").write_text(json.dumps(tokenizer))
    said = refused(tmp_path, distill(parts, tmp_path / "out", "--student-init", out))
    assert "'bad' is number" in said


def test_teacher_with_more_tokens_than_the_student(parts, tmp_path):
    edit_json(shutil.copy(parts.student, tmp_path / "small.json") and tmp_path / "small.json", vocab_size=50)
    said = refused(tmp_path, distill(parts, tmp_path / "out", "--student", tmp_path / "small.json"))
    assert f"expected at least {len(VOCABULARY)} embeddings in the student" in said


def test_other_head_count(parts, tmp_path):
    shape = tmp_path / "eight.json"
    shape.write_text(parts.student.read_text())
    edit_json(shape, num_attention_heads=8)
    said = refused(tmp_path, distill(parts, tmp_path / "out", "--student", shape))
    assert "expected 4 attention heads in the student as the teacher has, found 8" in said
    done(*distill(parts, tmp_path / "out", "--student", shape, "--heads", "mean", "--max-steps", 1))


def test_more_positions_than_the_model_has(parts, tmp_path):
    said = refused(tmp_path, distill(parts, tmp_path / "out", "--max-length", 65))
    assert "expected max_length of at most 64" in said
    assert "at most 64" in refused(tmp_path, finetune(parts, tmp_path / "out", "--max-length", 65))


def test_another_number_of_labels(parts, tmp_path, teacher):
    names = {"0": "a", "1": "b", "2": "c"}
    edit_json(teacher / "config.json", id2label=names, label2id={name: int(n) for n, name in names.items()})
    said = refused(tmp_path, distill(parts, tmp_path / "out", "--teacher", teacher))
    assert "expected the labels negative, positive of sst2; found 3 (a, b, c)" in said
    assert "labels" in refused(tmp_path, evaluate(parts, teacher))


@pytest.mark.parametrize(("problem", "found"), [("multi_label_classification", "labels"), ("regression", "scores")])
def test_a_teacher_of_several_labels_a_row(parts, tmp_path, teacher, problem, found):
    edit_json(teacher / "config.json", problem_type=problem)
    for command in (distill(parts, tmp_path / "out", "--teacher", teacher), evaluate(parts, teacher)):
        said = refused(tmp_path, command)
        assert f"found problem_type '{problem}' with 2 labels. Several {found} a row are not supported" in said


def test_unfinetuned_teacher_is_named(parts, tmp_path, teacher):
    """A head that never learnt is a warning, for nobody can be sure; no head at all is refused."""
    weights = load_file(teacher / "model.safetensors")
    weights["classifier.weight"].zero_()
    save_file(weights, teacher / "model.safetensors", {"format": "pt"})
    ran = done(*distill(parts, tmp_path / "chance", "--teacher", teacher, "--max-steps", 1))
    assert "near chance (always negative: 0.5000); was it fine-tuned for sst2?" in ran.err
    said = refused(tmp_path, distill(parts, tmp_path / "out", "--teacher", parts.encoder))
    assert "expected a model fine-tuned for this task, found no task head" in said


def test_good_teacher_gets_no_warning(parts, tmp_path, monkeypatch):
    monkeypatch.setitem(AGREEMENTS, Metric.ACCURACY, lambda *_: 0.9)
    assert "near chance" not in done(*distill(parts, tmp_path / "s", "--max-steps", 1)).err


def test_general_student_that_cannot_be_had(parts, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    shape = tmp_path / "four.json"
    shape.write_text(parts.student.read_text())
    said = refused(tmp_path, distill(parts, tmp_path / "out", "--student", shape, "--student-init", "general"))
    assert "published only for tinybert4, tinybert6" in said
    wide = tmp_path / "wide"
    save_tiny_masked_lm(wide, num_attention_heads=12, hidden_size=48)
    done(*finetune(parts, tmp_path / "teacher12", "--model", wide, "--max-steps", 1))
    command = distill(parts, tmp_path / "out", "--teacher", tmp_path / "teacher12", "--layer-map", "1,1,2,2")
    place = command.index("--student")
    del command[place : place + 4]
    said = refused(tmp_path, command)
    assert "hf download huawei-noah/TinyBERT_General_4L_312D" in said
    assert "teacher-layers" in said


def test_output_folder_in_use(parts, tmp_path):
    out = tmp_path / "student"
    done(*distill(parts, out, "--max-steps", 1))
    before = everything(out)
    with (out / ".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ran = tinyaug(*distill(parts, out, "--max-steps", 1))
    assert (ran.code, "expected to be its only writer" in ran.err) == (2, True)
    assert everything(out) == before


def test_output_folder_of_something_else(parts, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    for verb in (finetune, distill, run):
        for more in ((), ("--overwrite",)):
            ran = tinyaug(*verb(parts, tmp_path / "mine", *more))
            assert ran.code == 2, ran.err
            assert "thesis.txt" in ran.err or "something else" in ran.err
    assert everything(tmp_path / "mine") == {"thesis.txt": b"years of work"}
    ran = tinyaug(*distill(parts, parts.teacher))
    assert (ran.code, "a run of `tinyaug finetune`" in ran.err) == (2, True)


def test_cache_of_another_teacher(parts, tmp_path, teacher):
    done(*distill(parts, tmp_path / "a", "--cache-dir", tmp_path / "cache"))
    weights = load_file(teacher / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, teacher / "model.safetensors", {"format": "pt"})
    command = distill(parts, tmp_path / "b", "--teacher", teacher, "--cache-dir", tmp_path / "cache")
    before = everything(tmp_path / "cache")
    ran = tinyaug(*command)
    assert ran.code == 2, ran.err
    assert "found one with teacher" in ran.err
    assert everything(tmp_path / "cache") == before
    done(*command, "--rebuild-cache")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--teacher", "/nowhere/teacher"), "teacher: expected a model folder"),
        (("--student", "tinybert5"), f"--student tinybert5: expected a student {', '.join(NAMED_SHAPES)}, layers:N"),
        (("--student-init", "/nowhere/student"), "/nowhere/student"),
        (("--train", "/nowhere/shards"), "--train /nowhere/shards: expected a folder of Parquet shards"),
        (("--layer-map", "middle"), "expected a layer map uniform, top, bottom"),
        (("--layer-map", "1,9"), "expected teacher layers between 1 and 4"),
        (("--cache", "some"), "--cache: expected one of"),
        (("--cache", "full", "--cache-budget", "1kB"), "a full one takes about"),
        (("--cache-budget", "lots"), "--cache-budget: expected bytes such as 20GB"),
        (("--losses", "hidden,logits"), "--losses: expected some of"),
        (("--layer-weights", "1,2"), "expected 4 layer weights"),
        (("--temperature", "0"), "--temperature: expected a number between 0 and 10000000"),
        (("--max-steps", "0"), "--max-steps: expected a number of at least 1"),
        (("--lr-prediction", "0"), "expected a number between 0 and 1"),
        (("--precision", "fp16"), "--precision fp16: expected a GPU"),
        (("--profile", "slow"), "--profile: expected one of"),
        (("--train-rows", "0"), "--train-rows: expected a number of at least 1"),
        (("--task", "sst3"), "sst2"),
        (("--out", "s3://bucket/student"), "expected a local folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_values_out_of_range(parts, tmp_path, more, said):
    assert said in refused(tmp_path, distill(parts, tmp_path / "out", *more))


def test_a_run_is_checked_before_its_first_stage(parts, tmp_path):
    shape = tmp_path / "eight.json"
    shape.write_text(parts.student.read_text())
    edit_json(shape, num_attention_heads=8)
    assert "expected 4 attention heads" in refused(tmp_path, run(parts, tmp_path / "out", "--student", shape))
    assert "/nowhere" in refused(tmp_path, run(parts, tmp_path / "out", "--teacher-model", "/nowhere/model"))
