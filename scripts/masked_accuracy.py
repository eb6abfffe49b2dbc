"""Says how many masked pieces of a text a masked LM finds, at the first place and among its first five.

Each sentence stands alone, at most 94 of its word pieces. One piece in eight is masked, chosen by a hash of sentence
and position, so that models with the same pieces are asked the same questions. Give text that no model was trained
on. docs/demo-pack.md has what this says of the demo's masked LM.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerBase

EVERY = 8  # one piece in so many is masked
BATCH = 64  # sentences
LENGTH = 96  # tokens of a sentence at most, [CLS] and [SEP] among them


def main() -> None:
    """Judges what the options name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or hub name of a masked LM")
    parser.add_argument("--text", type=Path, required=True, help="text, one sentence a line")
    options = parser.parse_args()
    lines = options.text.read_text(encoding="utf-8").split("\n")
    sentences = sorted((line for line in lines if line.strip()), key=len)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForMaskedLM.from_pretrained(options.model, dtype=torch.float32).eval()
    first = among = total = 0
    for start in range(0, len(sentences), BATCH):
        hits = find_masked(model, tokenizer, sentences[start : start + BATCH])
        first, among, total = first + int(hits[:, 0].sum()), among + int(hits.any(1).sum()), total + len(hits)
    if not total:
        parser.error(f"--text {options.text}: expected sentences, found too few pieces to mask any; give more")
    sys.stdout.write(
        f"{options.model}: of {total:,} masked pieces {first / total:.1%} found at the first place, "
        f"{among / total:.1%} among five\n"
    )


@torch.no_grad()
def find_masked(model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, sentences: list[str]) -> torch.Tensor:
    """Masks pieces and says at which places the model has them.

    Args:
        model: a masked LM.
        tokenizer: of the model.
        sentences: a batch.

    Returns:
        Boolean [masked pieces, 5]: whether the piece is the model's first, second, … choice.
    """
    batch = tokenizer(sentences, truncation=True, max_length=LENGTH, padding=True, return_tensors="pt")
    ids = batch["input_ids"]  # [sentences, tokens]
    chosen = torch.zeros_like(ids, dtype=torch.bool)
    for row, sentence in enumerate(sentences):
        key = zlib.crc32(sentence.encode())
        for position in range(1, int(batch["attention_mask"][row].sum()) - 1):
            chosen[row, position] = zlib.crc32(f"{key}:{position}".encode()) % EVERY == 0
    batch["input_ids"] = ids.masked_fill(chosen, tokenizer.mask_token_id)
    logits = model(**batch).logits[chosen]  # [masked pieces, vocabulary]
    return logits.topk(5).indices == ids[chosen][:, None]


if __name__ == "__main__":
    main()
