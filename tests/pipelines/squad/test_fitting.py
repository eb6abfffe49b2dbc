"""What cannot learn or find answers in texts is refused before anything runs or is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForQuestionAnswering,
)

from tests.foreign import SIZES, WIDE, foreign_tokenizer, save_foreign
from tests.pipelines.jobs import refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipelines.squad.conftest import Squad


@pytest.fixture(scope="module")
def modern(squad, tmp_path_factory) -> Path:
    """A ModernBERT, and one for answers in `spans`."""
    folder, tokenizer = tmp_path_factory.mktemp("modern"), AutoTokenizer.from_pretrained(squad.encoder)
    special = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"))
    config = ModernBertConfig(**{**SIZES, **WIDE, "vocab_size": len(tokenizer)}, pad_token_id=0, **special)
    for kind, name in ((ModernBertForMaskedLM, "encoder"), (ModernBertForQuestionAnswering, "spans")):
        kind(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def words(squad: Squad, verb: str, out: Path, *more: object) -> list[str]:
    """`distill` or `run` by another method than TinyBERT."""
    task = ("--task", "squad_v2", "--data", squad.data, "--max-length", 48, "--device", "cpu", "--out", out)
    return [verb, *map(str, (*task, *more))]


def test_families_with_another_head(squad, modern, tmp_path):
    out, said = tmp_path / "out", "expected an encoder of bert, roberta,"
    told = refused(squad.finetune(out, "--model", modern / "encoder"))
    assert said in told
    assert "for squad_v2, found modernbert" in told
    assert said in refused(squad.evaluate(modern / "spans"))
    assert said in refused(squad.distill(out, "--teacher", modern / "spans"))
    foreign = save_foreign(tmp_path / "xlnet", "xlnet")
    own = ("--method", "distilbert", "--student-init", squad.encoder)
    told = refused(words(squad, "distill", out, "--teacher", foreign, *own))
    assert "for squad_v2, found xlnet" in told
    assert "for squad_v2, found xlnet" in refused(squad.evaluate(foreign))
    assert not out.exists()


def test_methods_and_columns_of_one_answer_a_row(squad, parts, tmp_path):
    out, own = tmp_path / "out", ("--glove", parts.glove)
    for verb, more in (
        ("distill", ("--teacher", squad.teacher, "--train", squad.augmented)),
        ("run", ("--teacher-model", squad.encoder, "--mlm", parts.mlm)),
    ):
        told = refused(words(squad, verb, out, *more, *own, "--method", "bilstm-soft"))
        assert "--method bilstm-soft: expected a task of labels or scores, found squad_v2" in told
    more = ("--teacher", squad.encoder, "--train", squad.augmented, "--method", "distilbert", "--soft-labels", "p")
    told = refused(words(squad, "distill", out, *more))
    assert "--soft-labels p: expected a task of labels or scores, found squad_v2" in told
    assert not out.exists()


def test_a_student_of_another_vocabulary(squad, tmp_path):
    start, out = tmp_path / "start", tmp_path / "out"
    BertForMaskedLM(BertConfig(**{**SIZES, **WIDE})).save_pretrained(start)
    foreign_tokenizer("bert").save_pretrained(start)
    for method in ("distilbert", "finetune"):
        more = ("--teacher", squad.teacher, "--method", method, "--student-init", start)
        assert "expected one vocabulary for teacher and student" in refused(words(squad, "distill", out, *more))
    assert not out.exists()


def test_a_cache_keeps_no_logits_of_tokens(squad, tmp_path):
    out = tmp_path / "cache"
    more = ("--teacher", squad.teacher, "--method", "distilbert", "--student", "half")
    assert "a cache keeps no logits of tokens" in refused(words(squad, "cache-teacher", out, *more))
    told = refused(words(squad, "distill", out, *more, "--cache-dir", tmp_path / "there"))
    assert "--cache-dir: expected no teacher cache for squad_v2" in told
    assert not out.exists()
