"""Kinds of tokenizers, told by their tokenizer.json: those whose words can be masked, and all others."""

from __future__ import annotations

from typing import Any

WORD_PIECE = "WordPiece"
BYTE_LEVEL, SENTENCE_PIECE = "byte-level BPE", "SentencePiece"
KINDS = (WORD_PIECE, BYTE_LEVEL, SENTENCE_PIECE)


def tokenizer_kind(content: dict[str, Any]) -> str:
    """One of KINDS, or the name that tokenizer.json has for another kind.

    Args:
        content: of tokenizer.json.
    """
    model = content["model"]
    # files of 2020, those of bert-base-uncased and roberta-base among them, do not name the type
    marks = {"max_input_chars_per_word": WORD_PIECE, "merges": "BPE", "unk_id": "Unigram"}
    usual = next((kind for setting, kind in marks.items() if setting in model), "unknown")
    kind, splits = str(model.get("type", usual)), _steps(content.get("pre_tokenizer"))
    if kind == "BPE" and "ByteLevel" in splits:
        return BYTE_LEVEL
    if kind == "Unigram" and "Metaspace" in splits:
        return SENTENCE_PIECE
    return kind


def _steps(pre_tokenizer: Any) -> set[str]:
    """Types of a pre-tokenizer and of the steps of a sequence."""
    if not isinstance(pre_tokenizer, dict):
        return set()
    inner = pre_tokenizer.get("pretokenizers") or []
    return {str(pre_tokenizer.get("type"))}.union(*map(_steps, inner))
