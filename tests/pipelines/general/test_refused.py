"""`tinyaug distill-general`: every refusal."""

from __future__ import annotations

import json
import shutil

import pytest
from transformers import ElectraForMaskedLM

from tests.fixtures import tiny_tokenizer
from tests.pipelines.general.test_families import FAMILIES
from tests.pipelines.jobs import done, tinyaug
from tests.pipelines.training.general import MASKED, with_config
from tests.pipelines.training.test_refused import refused
from tests.pipelines.training.verbs import distill, general


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "found an empty file"),
        (b"\n\n  \n", "corpus.txt: expected text, found none but blank lines"),
        (b"a film\n\0\1\2\n", "line 2: expected text, found a binary file"),
        (b"a film\nna\xc3\xafve\ncaf\xe9\n", "line 3: expected UTF-8, found byte 0xe9"),
    ],
)
def test_a_corpus_that_is_none(parts, tmp_path, content, said):
    place = tmp_path / "corpus.txt"
    place.write_bytes(content)
    assert said in refused(tmp_path, general(parts, place, tmp_path / "out"))
    assert said in refused(tmp_path, general(parts, place, tmp_path / "out", "--dry-run"))


def test_student_and_teacher_that_do_not_fit(parts, corpus, tmp_path):
    out = tmp_path / "out"
    eight = with_config(tmp_path, parts.student, num_attention_heads=8)
    assert "expected 4 attention heads" in refused(tmp_path, general(parts, corpus, out, "--student", eight))
    few = with_config(tmp_path, parts.student, vocab_size=50)
    assert "embeddings in the student" in refused(tmp_path, general(parts, corpus, out, "--student", few))
    many = with_config(tmp_path, parts.student, vocab_size=500)
    said = refused(tmp_path, general(parts, corpus, out, "--student", many, "--mlm-soft", 1))
    assert "embeddings in the student as the teacher has; found 500" in said
    short = with_config(tmp_path, parts.student, max_position_embeddings=16)
    assert "at most 16" in refused(tmp_path, general(parts, corpus, out, "--student", short))


def test_another_vocabulary_is_refused(parts, corpus, masked, tmp_path):
    start_from = shutil.copytree(masked, tmp_path / "start")
    tokenizer = json.loads((start_from / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words["good"], words["bad"] = words["bad"], words["good"]
    (start_from / "tokenizer.json").write_text(json.dumps(tokenizer))
    said = refused(tmp_path, general(parts, corpus, tmp_path / "out", "--student", start_from))
    assert "expected one vocabulary for teacher and student" in said


def test_options_that_contradict_each_other(parts, corpus, tmp_path):
    for more, said in (
        (("--whole-word",), "expected --mlm-weight or --mlm-soft"),
        (("--mlm-weight", -1), "--mlm-weight: expected a number of at least 0"),
        (("--embedding-init", "pca"), "expected one of random, projected"),
        (
            ("--embedding-init", "projected", "--student-init", "teacher-layers"),
            "expected --student-init random",
        ),
        (
            ("--student-init", "first-layers"),
            "--student-init: expected general, teacher-layers (with --layer-map bottom",
        ),
        (("--cache", "logits"), "expected one of auto, full, off, found"),
        (("--limit", 0), "--limit: expected a number of at least 1"),
        (("--mlm-soft", 1, "--layer-map", "bottom"), "the teacher's last layer in the layer map"),
        (("--epochs", 0), "--epochs: expected a number of at least 1"),
        (("--mlm-weight", 1, "--cache-budget", "1GB"), "--cache-budget: expected --cache full, for auto keeps nothing"),
        (
            ("--mlm-weight", 1, "--layer-weights", "0,0,0,0", "--cache", "full"),
            "--cache full: expected a loss of attention or hidden states",
        ),
    ):
        assert said in refused(tmp_path, general(parts, corpus, tmp_path / "out", *more))


def test_a_soft_loss_needs_the_teachers_head(parts, corpus, tmp_path):
    said = refused(tmp_path, general(parts, corpus, tmp_path / "out", "--teacher", parts.teacher, "--mlm-soft", 1))
    assert "found no masked-LM head" in said
    done(*general(parts, corpus, tmp_path / "out", "--teacher", parts.teacher, "--max-steps", 1))


def test_other_settings_in_the_same_folder_are_refused(parts, corpus, masked, tmp_path):
    ran = tinyaug(*general(parts, corpus, masked, *MASKED))
    assert ran.code == 2
    assert '--embedding-init: "projected" there, "random" now' in ran.err
    ran = tinyaug(*distill(parts, masked))
    assert ran.code == 2
    assert "found a run of `tinyaug distill-general`" in ran.err


def test_whole_words_need_pieces_that_tell_them(parts, corpus, tmp_path, monkeypatch):
    """A vocabulary without such pieces is refused before a corpus is read, which may take hours."""
    teacher = shutil.copytree(parts.encoder, tmp_path / "teacher")
    for name in ("tokenizer.json", "vocab.txt"):
        if (teacher / name).exists():
            (teacher / name).write_text((teacher / name).read_text().replace("##", "@@"))
    monkeypatch.setattr("pipelines.corpus.files.FileCorpus.pieces", lambda _: 1 / 0)
    said = refused(tmp_path, general(parts, corpus, tmp_path / "out", "--teacher", teacher, *MASKED))
    assert "--whole-word: expected a WordPiece vocabulary (##ing)" in said
    assert said.endswith("; leave --whole-word out")


def test_embeddings_that_cannot_be_projected(parts, corpus, tmp_path):
    out, projected = tmp_path / "out", ("--embedding-init", "projected")
    wide = with_config(tmp_path, parts.student, hidden_size=64)
    said = refused(tmp_path, general(parts, corpus, out, "--student", wide, *projected))
    assert "expected a student no wider than its teacher (32) to project embeddings; found 64" in said
    ElectraForMaskedLM(FAMILIES["electra"]).save_pretrained(tmp_path / "teacher")
    tiny_tokenizer().save_pretrained(tmp_path / "teacher")
    more = ("--teacher", tmp_path / "teacher", "--student", "half", *projected)
    said = refused(tmp_path, general(parts, corpus, out, *more))
    assert (
        "and none of electra, mobilebert, modernbert, eurobert, nomic_bert, to project embeddings; found electra"
        in said
    )


@pytest.mark.parametrize(("beyond", "said"), [(600, "600 will never be used"), (100, "")])
def test_embeddings_without_a_token_are_told(parts, corpus, tmp_path, beyond, said):
    tokens = len(tiny_tokenizer())
    student = with_config(tmp_path, parts.student, vocab_size=tokens + beyond)
    plan = done(*general(parts, corpus, tmp_path / "out", "--student", student, "--dry-run"))
    assert (f"vocab_size to {tokens} in its config.json" in plan.out + plan.err) == bool(said)
    assert said in plan.out + plan.err
