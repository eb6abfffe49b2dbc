"""`tinyaug pretrain`: what it leaves, who can use it, kills, and what is refused."""

from __future__ import annotations

import csv
import json

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, BertForMaskedLM, BertForPreTraining

from distill.next_sentence import pack_pairs
from distill.packing import Packing, tokenised
from tests.fixtures import tiny_tokenizer
from tests.pipelines.jobs import done, everything, kill, refused, sentences, start, wait_for
from tests.pipelines.training.general import with_config
from tests.pipelines.training.verbs import distill, metrics, pretrain, run_json


@pytest.fixture(scope="module")
def small(parts, corpus, tmp_path_factory):
    """A pre-trained BERT; look, don't touch."""
    out = tmp_path_factory.mktemp("pretrained") / "small"
    said = done(*pretrain(parts, corpus, out, "--dry-run"))
    assert "nothing was written" in said.out
    assert not out.exists()
    done(*pretrain(parts, corpus, out))
    assert f"corpus: {metrics(out)['sequences']} pairs ({metrics(out)['pairs']} of one document), " in said.out
    return out


def test_what_it_leaves(parts, corpus, small):
    tokenizer, found, told = tiny_tokenizer(), metrics(small), run_json(small)
    pieces = [line or None for line in corpus.read_text().split("\n")]
    packing = Packing(32, tokenizer.cls_token_id, tokenizer.sep_token_id)
    expected = [*pack_pairs(tokenised(iter(pieces), tokenizer.backend_tokenizer.to_str()), packing)]
    shards = pq.read_table(small / "corpus")
    assert shards.column_names == ["input_ids", "token_type_ids", "next_sentence_label"]
    assert [tuple(row.values()) for row in shards.to_pylist()] == [tuple(pair) for pair in expected]
    assert found["sequences"] == len(expected)
    assert found["pairs"] == sum(pair.next == 0 for pair in expected) > 20
    assert found["steps"] == 3 * -(-len(expected) // 16)
    rows = [*csv.DictReader((small / "pretraining/losses.csv").open())]
    assert list(rows[0])[4:7] == ["loss", "mlm", "nsp"]
    assert sum(float(row["mlm"]) for row in rows[-5:]) < 0.9 * sum(float(row["mlm"]) for row in rows[:5])
    assert {name: float(rows[-1][name]) for name in ("loss", "mlm", "nsp")}.items() <= found["losses"].items()
    assert told["settings"]["recipe"] == {"epochs": 3, "batch_rows": 16, "learning_rate": 5e-3, "max_steps": None}
    assert list(told["models"]) == ["tokenizer"]
    card = (small / "README.md").read_text()
    assert "- losses: masked LM (15% of the tokens, at most 20), next-sentence prediction\n" in card
    assert "- model: 2 layers, width 16, 4 heads, from random weights\n" in card or "from random weights\n" in card
    assert done("status", small).out.splitlines()[-1] == "complete"
    before = everything(small)
    assert "everything was done already" in done(*pretrain(parts, corpus, small)).out
    assert everything(small) == before


def test_transformers_loads_it_with_any_head(small):
    weights = load_file(small / "model.safetensors")
    for kind in (BertForPreTraining, BertForMaskedLM, AutoModelForSequenceClassification):
        model, report = kind.from_pretrained(small, output_loading_info=True)
        head = ("classifier",) if kind is AutoModelForSequenceClassification else ()
        assert all(name.startswith(head) for name in report["missing_keys"]) if head else not report["missing_keys"]
        if "bert.pooler.dense.weight" in model.state_dict():
            assert (model.state_dict()["bert.pooler.dense.weight"] == weights["bert.pooler.dense.weight"]).all()
    assert BertForPreTraining.from_pretrained(small).num_parameters() == metrics(small)["parameters"]
    assert json.loads((small / "config.json").read_text())["architectures"] == ["BertForPreTraining"]


def test_a_student_and_an_augmentation_go_on_with_it(parts, small, tmp_path):
    """TinyBERT's task stages (Table 9: MLM & NSP + TD), and the masked LM as the one that proposes words."""
    more = ("--student", small, "--student-init", small, "--max-steps", 1, "--epochs-prediction", 0)
    done(*distill(parts, tmp_path / "td", *more, "--lr-intermediate", 1e-12))
    before, after = load_file(small / "model.safetensors"), load_file(tmp_path / "td/model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    assert (before[name] - after[name]).abs().max() < 1e-6
    out = tmp_path / "augmented"
    done("augment", "--task", "sst2", "--data", parts.data, "--mlm", small, "--glove", "none", "--out", out, "--limit",
         8, "--n", 1, "--engine", "local", "--workers", 1, "--device", "cpu")  # fmt: skip


@pytest.mark.integration
def test_killed_and_resumed_gives_the_same_model(parts, corpus, small, tmp_path):
    out, more = tmp_path / "killed", ("--checkpoint-every", 5)
    process = start(*pretrain(parts, corpus, out, *more))
    wait_for(lambda: list(out.glob("pretraining/step-*")), process)
    kill(process)
    assert not (out / "metrics.json").exists()
    assert "is not done yet" in refused(distill(parts, tmp_path / "s", "--student-init", out, "--student", out))
    done(*pretrain(parts, corpus, out, *more))
    for name in ("model.safetensors", "pretraining/losses.csv", "README.md", "config.json"):
        assert (out / name).read_bytes() == (small / name).read_bytes(), name


def test_other_settings_are_refused_by_their_options(parts, corpus, small, tmp_path):
    for more, said in (
        (("--lr", 1e-3), "--lr (in `run`: --lr-corpus): 0.005 there, 0.001 now"),
        (("--limit", 7), "--limit (in `run`: --corpus-limit): null there, 7 now"),
        (("--student", "half"), "--student"),
    ):
        assert said in refused(pretrain(parts, corpus, small, *more))
    done(*pretrain(parts, corpus, small, "--tokenizer", parts.teacher))  # the same tokenizer of another model
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((parts.encoder / name).read_bytes())
    done(*pretrain(parts, corpus, small, "--tokenizer", tmp_path))  # and of none


def test_what_cannot_be_is_refused(parts, corpus, tmp_path):
    out = tmp_path / "out"
    one = with_config(tmp_path, parts.student, type_vocab_size=1)
    said = "expected a BERT with embeddings for two segments, for next-sentence prediction; found type bert with"
    assert said in refused(pretrain(parts, corpus, out, "--student", one))
    for option in ("--pairs", "--teacher", "--cache"):
        assert "No such option" in refused(pretrain(parts, corpus, out, option, 1))
    single = tmp_path / "single.txt"
    single.write_text("\n".join(sentences(40, seed=3)))
    assert "single.txt: expected two documents or more" in refused(pretrain(parts, single, out))
    assert not out.exists()
    assert "--student tiny: expected a student" in refused(pretrain(parts, corpus, out, "--student", "tiny"))


def test_documents_of_one_sentence_are_told(parts, tmp_path):
    (tmp_path / "apart.txt").write_text("\n\n".join(sentences(60, seed=5)))
    ran = done(*pretrain(parts, tmp_path / "apart.txt", tmp_path / "out", "--max-steps", 1))
    assert "no second segment of the corpus continues the first" in ran.err
    assert metrics(tmp_path / "out")["pairs"] == 0
