"""scripts/trim_vocabulary.py: the model that is left says of the pieces that are left what the whole one said."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BertForMaskedLM

from tests.fixtures import VOCABULARY, save_tiny_masked_lm

SCRIPT = Path(__file__).parents[1] / "scripts/trim_vocabulary.py"
WORDS = "a good film and a bad movie , quite funny but not very good ."


def trim(folder: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> Path:
    """Runs the script on the corpus that lies there."""
    model, out = save_tiny_masked_lm(folder / "model"), folder / "out"
    given = ["--model", model, "--corpus", folder / "corpus.txt", "--size", size, "--out", out]
    monkeypatch.setattr(sys, "argv", ["trim_vocabulary.py", *map(str, given)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return out


def test_kept_pieces_keep_their_logits(tmp_path, monkeypatch, capsys):
    (tmp_path / "corpus.txt").write_text(f"{WORDS}\n" * 3)
    out = trim(tmp_path, monkeypatch, 130)
    assert f"130 of {len(VOCABULARY)} pieces, 100.000% of the 45 in the corpus" in capsys.readouterr().out
    before, after = (BertForMaskedLM.from_pretrained(folder).eval() for folder in (tmp_path / "model", out))
    old, new = (AutoTokenizer.from_pretrained(folder) for folder in (tmp_path / "model", out))
    assert after.config.vocab_size == len(new) == 130
    kept = sorted(new.get_vocab(), key=new.get_vocab().__getitem__)
    rows = [old.get_vocab()[piece] for piece in kept]
    assert rows == sorted(rows)
    assert set(WORDS.split()) <= set(kept)
    special = ("pad_token_id", "unk_token_id", "cls_token_id", "sep_token_id", "mask_token_id")
    assert [rows[getattr(new, name)] for name in special] == [getattr(old, name) for name in special]
    assert after.config.pad_token_id == new.pad_token_id
    theirs, mine = (tokenizer("a good [MASK] .", return_tensors="pt") for tokenizer in (old, new))
    assert [rows[number] for number in mine["input_ids"][0]] == theirs["input_ids"][0].tolist()
    with torch.no_grad():
        torch.testing.assert_close(after(**mine).logits, before(**theirs).logits[..., rows])


@pytest.mark.parametrize("content", ["", "\n  \n"])
def test_a_corpus_without_text_is_refused(tmp_path, monkeypatch, capsys, content):
    (tmp_path / "corpus.txt").write_text(content)
    with pytest.raises(SystemExit) as ended:
        trim(tmp_path, monkeypatch, 130)
    assert ended.value.code == 2
    assert "corpus.txt: expected text, found none but blank lines" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
