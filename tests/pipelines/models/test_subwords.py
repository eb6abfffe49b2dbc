"""`augment`, `finetune` and `distill` with models whose tokenizers are not BERT's, and what of such is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from distill.families import FAMILIES
from tests.distill.models import tiny_encoder
from tests.fixtures import tiny_tokenizer
from tests.pipelines.jobs import contents, done, kill, records, refused, rows, start, tinyaug, wait_for
from tests.pipelines.training.verbs import distill, evaluate, finetune, metrics
from tests.subwords import save_subword_masked_lm

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", params=["roberta", "xlm-roberta"])
def mlm(request, tmp_path_factory) -> Path:
    return save_subword_masked_lm(tmp_path_factory.mktemp("subwords") / request.param, request.param)


@pytest.mark.integration
def test_a_killed_job_goes_on_to_the_same_bytes(inputs, tmp_path, mlm):
    small = ("--shard-rows", 10, "--part-tokens", 500, "--mlm", mlm)
    done(*inputs.augment(tmp_path / "whole", *small))
    process = start(*inputs.augment(tmp_path / "run", *small))
    wait_for(lambda: records(tmp_path / "run", "candidates"), process)
    kill(process)
    done(*inputs.augment(tmp_path / "run", *small))
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    originals = {row["source_idx"]: row["sentence"] for row in rows(tmp_path / "run") if row["variant"] == 0}
    edits = 0
    for row in rows(tmp_path / "run"):
        text = originals[row["source_idx"]]
        for edit in reversed(row["edits"]):
            assert text[edit["start"] : edit["end"]] == edit["original"]
            text = text[: edit["start"]] + edit["replacement"] + text[edit["end"] :]
        assert text == row["sentence"]
        edits += sum(edit["source"] == "mlm" for edit in row["edits"])
    assert edits > 100


@pytest.mark.parametrize(("family", "start_of"), [("modernbert", "teacher-layers"), ("camembert", "random")])
def test_a_teacher_of_another_tokenizer(parts, tmp_path, family, start_of):
    encoder = save_subword_masked_lm(tmp_path / "encoder", family)
    done(*finetune(parts, tmp_path / "teacher", "--model", encoder, "--epochs", 1))
    chosen = (
        "--teacher",
        tmp_path / "teacher",
        "--student",
        "layers:1",
        "--student-init",
        start_of,
        "--lr-intermediate",
        1e-3,
    )
    done(*distill(parts, tmp_path / "student", *chosen))
    lines = (tmp_path / "student/intermediate/losses.csv").read_text().splitlines()
    assert lines[0].endswith(",loss,embedding,attention,hidden")
    losses = [float(line.split(",")[4]) for line in lines[1:]]
    assert min(losses[-3:]) < losses[0]
    student = AutoModelForSequenceClassification.from_pretrained(tmp_path / "student")
    assert (student.config.model_type, student.config.num_hidden_layers) == (family, 1)
    text = "The film's (good), never slow."
    theirs, mine = (AutoTokenizer.from_pretrained(tmp_path / name)(text) for name in ("encoder", "student"))
    assert mine["input_ids"] == theirs["input_ids"]
    accuracy = metrics(tmp_path / "student")["dev"]["validation"]["accuracy"]
    assert f"{accuracy:.4f}" in done(*evaluate(parts, tmp_path / "student")).out


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {"bert", "camembert", "modernbert"}))
def test_a_teacher_of_every_other_family(parts, tmp_path, family):
    own = {"max_position_embeddings": 70, "num_hidden_layers": 2}
    tiny_encoder(family, id2label={0: "negative", 1: "positive"}, **own).save_pretrained(tmp_path / "teacher")
    tiny_tokenizer().save_pretrained(tmp_path / "teacher")
    chosen = ("--teacher", tmp_path / "teacher", "--student", "half", "--student-init", "teacher-layers")
    quick = ("--epochs-intermediate", 1, "--epochs-prediction", 1, "--max-steps", 2)
    done(*distill(parts, tmp_path / "student", *chosen, *quick))
    lines = (tmp_path / "student/intermediate/losses.csv").read_text().splitlines()
    assert lines[0].endswith(",loss,embedding,attention,hidden")
    assert len(lines) == 3


def spoil(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_model_that_writes_on(inputs, parts, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(save_subword_masked_lm(tmp_path / "roberta", "roberta"))
    config = GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=len(tokenizer))
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    said = refused(inputs.augment(tmp_path / "run", "--mlm", tmp_path / "gpt2"))
    assert "expected a masked language model, found GPT2LMHeadModel (model type gpt2), which writes on from" in said
    assert "finding candidates" not in said
    said = refused(finetune(parts, tmp_path / "run", "--model", tmp_path / "gpt2"))
    assert "expected an encoder of bert, roberta" in said
    assert "found gpt2" in said


@pytest.mark.parametrize("spoiled", ["mask", "slow", "embeddings"])
def test_masked_lms_that_cannot_augment(inputs, tmp_path, spoiled):
    folder = save_subword_masked_lm(tmp_path / "mlm", "roberta")
    if spoiled == "slow":
        (folder / "tokenizer.json").unlink()
    if spoiled == "mask":
        spoil(folder / "tokenizer_config.json", mask_token=None)
    if spoiled == "embeddings":
        spoil(folder / "config.json", vocab_size=500)
    ran = tinyaug(*inputs.augment(tmp_path / "run", "--mlm", folder))
    said = {
        "mask": "expected a tokenizer with a mask token such as [MASK], found none (model type roberta)",
        "slow": "expected a fast tokenizer (tokenizer.json, or vocab.txt of a BERT), found none",
        "embeddings": "expected at least 576 embeddings, one a token, found 500 (vocab_size)",
    }
    assert (ran.code, said[spoiled] in ran.err) == (2, True)
    assert not (tmp_path / "run").exists()
