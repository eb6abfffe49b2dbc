"""`tinyaug distill-general`: what it leaves, who can use it, and kills."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForMaskedLM

from distill.packing import Packing, pack, tokenised
from pipelines.general.request import default_accumulation
from tests.fixtures import tiny_tokenizer
from tests.pipelines.jobs import done, everything, finish, kill, start, tinyaug, wait_for
from tests.pipelines.training.general import MASKED, counts, with_config
from tests.pipelines.training.verbs import distill, finetune, general, metrics, run_json
from tests.ranks import two_ranks

SAME = ("model.safetensors", "projections.safetensors", "general/losses.csv", "README.md", "config.json")
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def losses(folder) -> list[float]:
    lines = (folder / "general/losses.csv").read_text().splitlines()
    return [float(line.split(",")[4]) for line in lines[1:]]


def test_what_it_leaves(parts, corpus, masked):
    found, content = metrics(masked), run_json(masked)
    pieces = [line or None for line in corpus.read_text().split("\n")]
    tokenizer = tiny_tokenizer()
    packing = Packing(32, tokenizer.cls_token_id, tokenizer.sep_token_id, 0.5)
    expected = list(pack(tokenised(iter(pieces), tokenizer.backend_tokenizer.to_str()), packing))
    shards = pq.read_table(masked / "corpus")
    assert shards.column("input_ids").to_pylist() == [ids for ids, _ in expected]
    assert shards.column("token_type_ids").to_pylist() == [types for _, types in expected]
    assert found["sequences"] == len(expected)
    assert found["tokens"] == sum(len(ids) for ids, _ in expected)
    assert found["pairs"] == sum(any(types) for _, types in expected) > 30
    assert found["steps"] == len(losses(masked)) == 3 * -(-len(expected) // 16)
    assert set(found["losses"]) == {"loss", "embedding", "attention", "hidden", "mlm", "mlm_soft"}
    assert sum(losses(masked)[-5:]) < 0.9 * sum(losses(masked)[:5])
    assert content["settings"]["masked_lm"] == {"weight": 1.0, "soft": 0.5, "whole_word": True}
    assert content["resolved"]["layer_map"] == [2, 4]
    assert content["resolved"]["cache"] == {
        "content": "off",  # else the free disk would decide which tokens are masked
        "words": "teacher cache: off (each epoch masks other tokens; --cache full would mask the same ones in all)",
        "bytes": 0,
    }
    assert not (masked / "teacher_cache").exists()
    model = AutoModelForMaskedLM.from_pretrained(masked)
    assert (model.config.architectures, model.num_parameters()) == (["BertForMaskedLM"], found["parameters"])
    card = (masked / "README.md").read_text()
    assert "pipeline_tag: fill-mask" in card
    assert f"- corpus: {found['sequences']} sequences ({found['pairs']} pairs) of at most 32 tokens, " in card
    assert not list((masked / "general").glob("step-*"))
    before = everything(masked)
    assert "everything was done already" in done(*general(parts, corpus, masked, *MASKED, "--embedding-init",
                                                          "projected")).out  # fmt: skip
    assert everything(masked) == before


def test_without_a_masked_lm_loss_it_is_an_encoder(parts, corpus, tmp_path):
    done(*general(parts, corpus, tmp_path / "out", "--max-steps", 3, "--cache", "off"))
    weights = load_file(tmp_path / "out/model.safetensors")
    assert not [name for name in weights if "cls" in name or "pooler" in name]
    assert type(AutoModel.from_pretrained(tmp_path / "out")).__name__ == "BertModel"
    assert set(metrics(tmp_path / "out")["losses"]) == {"loss", "embedding", "attention", "hidden"}


def test_a_masked_lm_that_learns_no_layers(parts, corpus, tmp_path):
    out = tmp_path / "out"
    more = ("--layer-weights", "0,0,0,0", "--mlm-weight", 1, "--max-steps", 2)
    assert "teacher cache: off (of the layers nothing is learnt)" in done(*general(parts, corpus, out, *more)).err
    assert set(metrics(out)["losses"]) == {"loss", "mlm"}
    assert "- losses: masked LM (weight 1.0, teacher's predictions 0.0)\n" in (out / "README.md").read_text()
    assert not (out / "teacher_cache").exists()


def test_task_distillation_goes_on_with_its_weights_and_projections(parts, masked, tmp_path):
    more = ("--student", masked, "--student-init", masked, "--max-steps", 1, "--epochs-prediction", 0)
    done(*distill(parts, tmp_path / "out", *more, "--lr-intermediate", 1e-12))
    theirs, ours = load_file(masked / "projections.safetensors"), load_file(tmp_path / "out/projections.safetensors")
    assert set(theirs) == set(ours) == {"W_h", "W_e"}
    assert all(torch.allclose(theirs[name], ours[name], atol=1e-6) for name in theirs)
    before, after = load_file(masked / "model.safetensors"), load_file(tmp_path / "out/model.safetensors")
    shared = [name for name in before if name.startswith("bert.")]
    assert len(shared) > 30
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in shared)


def test_starts_other_than_random(parts, corpus, masked, tmp_path):
    more, head = ("--max-steps", 1, "--lr", 1e-12, "--mlm-weight", 1), "cls.predictions.transform.dense.weight"
    theirs, before = load_file(parts.encoder / "model.safetensors"), load_file(masked / "model.safetensors")
    shape = with_config(tmp_path, parts.encoder / "config.json", num_hidden_layers=2, **STILL)
    done(*general(parts, corpus, tmp_path / "layers", *more, "--student", shape, "--student-init", "teacher-layers"))
    found = load_file(tmp_path / "layers/model.safetensors")
    layer = "bert.encoder.layer.{}.output.dense.weight"
    assert torch.allclose(found[layer.format(1)], theirs[layer.format(3)])
    assert torch.allclose(found[head], theirs[head])
    assert metrics(tmp_path / "layers")["losses"]["embedding"] < 1e-9
    done(*general(parts, corpus, tmp_path / "folder", *more, "--student", masked, "--student-init", masked))
    assert torch.allclose(load_file(tmp_path / "folder/model.safetensors")[head], before[head])


def test_it_augments_and_fine_tunes(parts, inputs, masked, tmp_path):
    done(*inputs.augment(tmp_path / "run", "--data", parts.data, "--mlm", masked, "--limit", 5))
    done(*finetune(parts, tmp_path / "tuned", "--model", masked, "--max-steps", 1))


def test_the_corpus_in_any_format_gives_the_same_student(parts, corpus, tmp_path):
    documents = corpus.read_text().strip().split("\n\n")
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in documents))
    more = ("--max-steps", 2, "--seed", 3)
    done(*general(parts, corpus, tmp_path / "a", *more))
    done(*general(parts, tmp_path / "corpus.jsonl", tmp_path / "b", *more, "--text", "body"))
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    done(*general(parts, corpus, tmp_path / "c", "--max-steps", 2, "--seed", 4, "--limit", 20))
    assert metrics(tmp_path / "c")["sequences"] == 20


@pytest.mark.integration
def test_killed_and_resumed_gives_the_same_bytes(parts, corpus, tmp_path):
    more = (*MASKED, "--epochs", 6, "--checkpoint-every", 7, "--cache", "full")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done(*general(parts, corpus, whole, *more))
    process = start(*general(parts, corpus, killed, *more))
    wait_for(lambda: list(killed.glob("general/step-*")), process)
    kill(process)
    assert not (killed / "metrics.json").exists()
    done(*general(parts, corpus, killed, *more))
    for name in SAME:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


def test_half_a_corpus_is_packed_anew(parts, corpus, tmp_path, monkeypatch):
    """What a kill while packing leaves: run.json, shards, no record of them."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done(*general(parts, corpus, whole, "--max-steps", 2))
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.training.driver.measure", lambda *_: 1 / 0)
        assert tinyaug(*general(parts, corpus, killed, "--max-steps", 2)).code == 1
    (killed / "corpus.json").unlink()
    (killed / "corpus/part-00000.parquet").write_bytes(b"half")
    done(*general(parts, corpus, killed, "--max-steps", 2))
    for name in (*SAME, "corpus/part-00000.parquet"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.integration
def test_two_processes_give_the_losses_of_one(parts, corpus, tmp_path):
    more = (*MASKED, "--cache", "full", "--max-steps", 6, "--student", with_config(tmp_path, parts.student, **STILL))
    ranks = [start(*general(parts, corpus, tmp_path / "two", *more), **variables) for variables in two_ranks()]
    assert [finish(rank).code for rank in ranks] == [0, 0]
    done(*general(parts, corpus, tmp_path / "one", *more))
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)


def test_a_shard_that_was_cut_is_packed_again(parts, corpus, tmp_path):
    out = tmp_path / "out"
    done(*general(parts, corpus, out, "--max-steps", 2))
    shard = out / "corpus/part-00000.parquet"
    whole, model = shard.read_bytes(), (out / "model.safetensors").read_bytes()
    shard.write_bytes(whole[:-9])
    (out / "model.safetensors").unlink()
    done(*general(parts, corpus, out, "--max-steps", 2))
    assert shard.read_bytes() == whole
    assert (out / "model.safetensors").read_bytes() == model


def test_dry_run_writes_nothing(parts, corpus, masked, tmp_path):
    said = done(*general(parts, corpus, tmp_path / "out", *MASKED, "--dry-run")).out
    assert counts(masked) in said
    assert "teacher cache: off (each epoch masks other tokens" in said
    assert "nothing was written" in said
    said = done(*general(parts, corpus, tmp_path / "out", *MASKED, "--cache", "full", "--dry-run")).out
    assert "teacher cache: full (attention scores and hidden states " in said
    assert "; the same tokens are masked in every epoch" in said
    assert "teacher cache: full (attention" in done(*general(parts, corpus, tmp_path / "out", "--dry-run")).out
    assert not (tmp_path / "out").exists()


def test_dry_run_estimates_a_large_corpus_from_its_beginning(parts, corpus, masked, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.general.sequences.GROUP_SEQUENCES", 60)
    monkeypatch.setattr("distill.packing.BATCH_CHARACTERS", 200)
    said = done(*general(parts, corpus, tmp_path / "out", "--dry-run")).out
    assert "estimated from its beginning" in said
    found = int(said.split("corpus: ")[1].split(" sequences")[0].replace(",", ""))
    assert found == pytest.approx(metrics(masked)["sequences"], rel=0.2)


def test_parts_of_a_step_fit_the_memory():
    assert default_accumulation(256, "cpu", 1) == 8
    assert default_accumulation(256, "cuda", 1) == 1
    assert default_accumulation(512, "cuda", 1) == 2
    assert default_accumulation(256, "cuda", 4) == 1
    assert default_accumulation(16, "cpu", 1) == 1


def test_a_line_of_ten_megabytes_is_packed(parts, tmp_path):
    (tmp_path / "corpus.txt").write_text("a good film and a bad one " * 400_000)
    done(*general(parts, tmp_path / "corpus.txt", tmp_path / "out", "--max-steps", 1, "--limit", 500))
    assert metrics(tmp_path / "out")["tokens"] > 500 * 30
