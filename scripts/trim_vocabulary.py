"""Writes a BERT masked LM again with only those word pieces that a corpus uses most.

Half of a small model's weights are embeddings of pieces that its texts never have. The pieces that stay keep their
order and their numbers in the model; words whose piece is gone are cut into smaller ones. The same inputs give the
same bytes. docs/demo-pack.md says what this is used for.
"""

from __future__ import annotations

import argparse
import json
import shutil
import string
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer
from transformers import BertForMaskedLM

from distill.vocabulary import trim_embeddings, trimmed_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES = 5_000  # of the corpus, tokenised at once
CONTINUED = "##"


def main() -> None:
    """Trims what the options name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a BERT masked LM with tokenizer.json")
    parser.add_argument("--corpus", type=Path, required=True, help="text, one sentence a line")
    parser.add_argument("--size", type=int, default=20_000, help="pieces to keep [20000]")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must not be there yet")
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"--out {options.out}: expected no such folder, found one; name another")
    counts = count_pieces(options.model / "tokenizer.json", options.corpus)
    if not counts:
        parser.error(f"--corpus {options.corpus}: expected text, found none but blank lines; give one sentence a line")
    content = json.loads((options.model / "tokenizer.json").read_text(encoding="utf-8"))
    kept = choose(content, counts, options.size)
    options.out.mkdir(parents=True)
    text = json.dumps(trimmed_tokenizer(content, kept), ensure_ascii=False) + "\n"
    (options.out / "tokenizer.json").write_text(text, encoding="utf-8")
    shutil.copyfile(options.model / "tokenizer_config.json", options.out / "tokenizer_config.json")
    trim_weights(options.model, [content["model"]["vocab"][piece] for piece in kept], options.out)
    covered = sum(counts[content["model"]["vocab"][piece]] for piece in kept)
    sys.stdout.write(
        f"{options.out}: {len(kept):,} of {len(content['model']['vocab']):,} pieces, "
        f"{covered / counts.total():.3%} of the {counts.total():,} in the corpus\n"
    )


def count_pieces(tokenizer: Path, corpus: Path) -> Counter[int]:
    """How often each piece occurs.

    Args:
        tokenizer: a tokenizer.json.
        corpus: text, one sentence a line.
    """
    cut = Tokenizer.from_file(str(tokenizer))
    cut.no_truncation()
    cut.no_padding()
    counts: Counter[int] = Counter()
    for lines in _batches(corpus):
        for encoded in cut.encode_batch(lines, add_special_tokens=False):
            counts.update(encoded.ids)
    return counts


def choose(content: dict[str, Any], counts: Counter[int], size: int) -> list[str]:
    """The pieces to keep, in the order of the vocabulary.

    Special tokens and the printable characters of ASCII stay in any case, so that every English word can be cut; of
    equally frequent pieces the earlier one stays.

    Args:
        content: of tokenizer.json.
        counts: uses of each piece, by its number.
        size: how many pieces.

    Raises:
        SystemExit: fewer pieces are asked for than have to stay, or more than there are.
    """
    vocabulary: dict[str, int] = content["model"]["vocab"]
    special = {token["content"] for token in content["added_tokens"]}
    characters = {mark + sign for sign in string.printable.lower() for mark in ("", CONTINUED)}
    always = [piece for piece in vocabulary if piece in special or piece in characters]
    if not len(always) <= size <= len(vocabulary):
        sys.exit(f"--size: expected {len(always):,} to {len(vocabulary):,} pieces, found {size:,}")
    others = sorted(vocabulary.keys() - always, key=lambda piece: (-counts[vocabulary[piece]], vocabulary[piece]))
    return sorted([*always, *others[: size - len(always)]], key=vocabulary.__getitem__)


def trim_weights(source: Path, rows: list[int], target: Path) -> None:
    """Writes the model with the given rows of its embeddings and of its output bias.

    Args:
        source: model folder.
        rows: old numbers of the pieces, in the order of their new numbers.
        target: folder to write into.
    """
    model = BertForMaskedLM.from_pretrained(source, dtype=torch.float32)
    bias = model.cls.predictions.bias.detach()[rows]
    trim_embeddings(model, rows)
    with torch.no_grad():
        model.cls.predictions.bias.copy_(bias)
    model.save_pretrained(target)


def _batches(corpus: Path) -> Iterator[list[str]]:
    with corpus.open(encoding="utf-8", newline="\n") as stream:
        while lines := [line for _, line in zip(range(LINES), stream, strict=False)]:
            yield [line.strip() for line in lines if line.strip()]


if __name__ == "__main__":
    main()
