"""scripts/masked_accuracy.py: counted again one masked piece at a time."""

from __future__ import annotations

import re
import runpy
import sys
import zlib
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BertForMaskedLM

SCRIPT = Path(__file__).parents[1] / "scripts/masked_accuracy.py"
SENTENCES = ["a good film", "the film was bad but quite funny .", "not very good , and a bad movie too ."] * 4


def run(monkeypatch: pytest.MonkeyPatch, model: Path, text: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["masked_accuracy.py", "--model", str(model), "--text", str(text)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def count_slowly(folder: Path, sentences: list[str]) -> tuple[int, int, int]:
    """Masked pieces, those found at the first place, those among five."""
    model, tokenizer = BertForMaskedLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    total = first = among = 0
    for sentence in sentences:
        ids = tokenizer(sentence)["input_ids"]
        places = range(1, len(ids) - 1)
        chosen = [place for place in places if zlib.crc32(f"{zlib.crc32(sentence.encode())}:{place}".encode()) % 8 == 0]
        masked = [tokenizer.mask_token_id if place in chosen else piece for place, piece in enumerate(ids)]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([masked])).logits[0]
        for place in chosen:
            best = logits[place].argsort(descending=True)[:5].tolist()
            total, first, among = total + 1, first + (best[0] == ids[place]), among + (ids[place] in best)
    return total, first, among


def test_counts_are_those_of_a_slow_count(tmp_path, monkeypatch, capsys, mlm_folder):
    sentences = [f"{sentence} {word}" for sentence in SENTENCES for word in ("film", "good", "movie", "bad")]
    (tmp_path / "text.txt").write_text("\n\n".join(sentences), encoding="utf-8")
    run(monkeypatch, mlm_folder, tmp_path / "text.txt")
    total, first, among = count_slowly(mlm_folder, sentences)
    assert total > 20
    said = capsys.readouterr().out
    assert f"of {total:,} masked pieces {first / total:.1%} found at the first place, {among / total:.1%} among" in said


@pytest.mark.parametrize("content", ["", "\n \n", "good"])
def test_text_without_a_masked_piece_is_refused(tmp_path, monkeypatch, capsys, mlm_folder, content):
    (tmp_path / "text.txt").write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, mlm_folder, tmp_path / "text.txt")
    assert re.search("expected sentences, found too few pieces", capsys.readouterr().err)
