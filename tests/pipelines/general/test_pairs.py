"""`tinyaug distill-general --pairs`: part of the run's identity, refused where a model has one segment."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM

from tests.fixtures import tiny_tokenizer
from tests.pipelines.general.test_families import FAMILIES
from tests.pipelines.jobs import done, refused, sentences
from tests.pipelines.training.general import with_config
from tests.pipelines.training.verbs import general, metrics, run_json

FEW = ("--max-steps", 2)


def types_of(out):
    return pq.read_table(out / "corpus").column("token_type_ids").to_pylist()


def test_shares_of_pairs(parts, corpus, tmp_path):
    found = {}
    for share in (0, 0.25, 1):
        said = done(*general(parts, corpus, tmp_path / f"{share}", *FEW, "--pairs", share))
        found[share] = metrics(tmp_path / f"{share}")
        assert found[share]["pairs"] == sum(map(any, types_of(tmp_path / f"{share}")))
        assert run_json(tmp_path / f"{share}")["settings"]["corpus"]["pairs"] == share
        assert ("pairs)" in said.out) == ("pairs)" in said.err) == (share > 0)
    assert 0 == found[0]["pairs"] < found[0.25]["pairs"] < found[1]["pairs"] / 2
    assert found[0]["sequences"] <= found[0.25]["sequences"] <= found[1]["sequences"]
    text = {one["tokens"] - 2 * one["sequences"] - one["pairs"] for one in found.values()}
    assert len(text) == 1


def test_another_share_is_refused_by_name(parts, corpus, masked, tmp_path):
    assert "--pairs: 0.5 there, 0.25 now" in refused(general(parts, corpus, masked, "--pairs", 0.25))
    out = tmp_path / "out"  # whose corpus is packed, while no step is made
    refused(general(parts, corpus, out, "--cache", "full", "--cache-budget", "1K"))
    for more in ((), ("--dry-run",)):
        assert "--pairs: 0.5 there, 0.0 now" in refused(general(parts, corpus, out, "--pairs", 0, *more))
    content, record = run_json(out), json.loads((out / "corpus.json").read_text())
    del content["settings"]["corpus"]["pairs"], record["pairs"], record["version"]  # as earlier versions left them
    (out / "run.json").write_text(json.dumps(content))
    (out / "corpus.json").write_text(json.dumps(record))
    for more in ((), ("--dry-run",)):
        assert "--pairs: null there, 0.5 now" in refused(general(parts, corpus, out, *more))


def test_a_corpus_of_another_version_is_packed_again(parts, corpus, tmp_path):
    out = tmp_path / "out"
    done(*general(parts, corpus, out, *FEW))
    (out / "metrics.json").unlink()
    record = json.loads((out / "corpus.json").read_text())
    (out / "corpus.json").write_text(json.dumps({**record, "version": 1}))
    assert "damaged or of another version; the corpus is packed again" in " ".join(
        done(*general(parts, corpus, out, *FEW)).err.split()
    )
    assert json.loads((out / "corpus.json").read_text()) == record


@pytest.mark.parametrize("share", [-0.1, 1.5, "nan"])
def test_what_is_no_share_is_refused(parts, corpus, tmp_path, share):
    said = refused(general(parts, corpus, tmp_path / "out", "--pairs", share))
    assert f"--pairs: expected a number from 0 to 1, found {share}" in said


def test_models_with_one_segment(parts, corpus, tmp_path):
    out, one = tmp_path / "out", with_config(tmp_path, parts.student, type_vocab_size=1)
    said = refused(general(parts, corpus, out, "--student", one, "--pairs", 0.5))
    assert (
        "--pairs 0.5: expected a student with embeddings for two segments, found type bert with type_vocab_size 1"
        in said
    )
    assert not out.exists() or not [path for path in out.iterdir() if path.name != ".lock"]
    done(*general(parts, corpus, out, "--student", one, *FEW))
    assert metrics(out)["pairs"] == 0
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(FAMILIES["distilbert"]).save_pretrained(tmp_path / "teacher")
    tiny_tokenizer().save_pretrained(tmp_path / "teacher")
    other = ("--teacher", tmp_path / "teacher", "--student", "half", *FEW)
    said = refused(general(parts, corpus, tmp_path / "other", *other, "--pairs", 1))
    assert "--pairs 1: expected a teacher with embeddings for two segments, found type distilbert" in said
    done(*general(parts, corpus, tmp_path / "other", *other, "--pairs", 0))


def test_a_corpus_without_pairs_is_told(parts, tmp_path):
    (tmp_path / "apart.txt").write_text("\n\n".join(sentences(200, seed=5)))
    note = "none of the corpus's sequences is a pair, because a pair takes two sentences or more"
    for more, told in (((), True), (("--pairs", 0), False)):
        ran = done(*general(parts, tmp_path / "apart.txt", tmp_path / "out", "--dry-run", *more))
        assert (note in " ".join((ran.out + ran.err).split())) == told


def test_the_second_segment_of_a_student_learns(parts, corpus, tmp_path):
    """Without pairs weight decay makes its embedding shorter, but turns it nowhere."""
    name, found = "embeddings.token_type_embeddings.weight", {}
    for share, rate in ((0, 1e-12), (0, 1e-2), (1, 1e-2)):
        out = tmp_path / f"{share} {rate}"
        done(*general(parts, corpus, out, "--pairs", share, "--max-steps", 5, "--lr", rate))
        found[share, rate] = load_file(out / "model.safetensors")[name]
    turned = {key: 1 - torch.nn.functional.cosine_similarity(one, found[0, 1e-12]) for key, one in found.items()}
    assert turned[0, 1e-2][0] > 1e-3
    assert turned[0, 1e-2][1] < 1e-5
    assert turned[1, 1e-2][1] > 1e-3
