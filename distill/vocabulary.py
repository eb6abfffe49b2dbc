"""A model with fewer word pieces: two thirds of a small student are embeddings, most of pieces that no text has.

A piece that stays keeps its embedding, so a text whose pieces all stay gets the same predictions: WordPiece takes the
longest piece that fits, and a shorter list of pieces offers nothing longer. Other texts are cut into smaller pieces.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from transformers import PreTrainedModel

CONTINUED = "continuing_subword_prefix"
UNUSED = re.compile(r"\[unused\d+\]")  # BERT's spare entries, which no text is cut into


def check_trimmable(content: Any, who: str) -> None:
    """Refuses a tokenizer whose pieces cannot be left out one by one.

    Args:
        content: of its tokenizer.json.
        who: owner of the tokenizer, for the message.

    Raises:
        DistillError: it is no WordPiece, or has no piece for unknown characters.
    """
    model = content["model"]
    if model.get("type") != "WordPiece" or model["unk_token"] not in model["vocab"]:
        found = model.get("type") if model.get("type") != "WordPiece" else f"none among its {len(model['vocab']):,}"
        raise DistillError(
            f"{who}: expected a WordPiece vocabulary with a piece for what is unknown, such as BERT's, to be trimmed; "
            f"found {found}. Leave its vocabulary whole."
        )


def numbered(content: Any) -> dict[str, int]:
    """All pieces of a tokenizer.json with their numbers, those added later included; in the order of the numbers."""
    found = {**content["model"]["vocab"], **{token["content"]: token["id"] for token in content["added_tokens"]}}
    return dict(sorted(found.items(), key=lambda entry: entry[1]))


def kept_pieces(content: Any, used: Set[int], share: float) -> list[str]:
    """The pieces to keep, in the order of their numbers.

    Kept in any case are tokens that were added (the special ones among them), single characters, and pieces with a
    character that is none: what could be cut without [UNK] before still can be.

    Args:
        content: of tokenizer.json, with a WordPiece vocabulary.
        used: numbers of the pieces that texts have.
        share: of all other pieces, 0 to 1: those with the lowest numbers, which vocabularies have by frequency.
    """
    numbers, mark = numbered(content), content["model"][CONTINUED]
    always = {token["content"] for token in content["added_tokens"]} | {content["model"]["unk_token"]}

    def characters(piece: str) -> list[str]:
        signs = [*piece.removeprefix(mark)]
        return [sign if place == 0 and not piece.startswith(mark) else mark + sign for place, sign in enumerate(signs)]

    cut = {piece: characters(piece) for piece in numbers if piece not in {*always, mark} and not UNUSED.match(piece)}
    always |= {piece for piece, signs in cut.items() if len(signs) == 1 or any(sign not in numbers for sign in signs)}
    always |= {piece for piece, number in numbers.items() if number in used}
    others = [piece for piece in cut if piece not in always]
    always.update(others[: round(share * len(others))])
    return [piece for piece in numbers if piece in always]


def trimmed_tokenizer(content: Any, kept: Sequence[str]) -> Any:
    """The content of a tokenizer.json with fewer pieces, padding and truncation left out.

    Args:
        content: of the whole one.
        kept: pieces, in the order of their new numbers; all special ones among them.
    """
    numbers = {piece: number for number, piece in enumerate(kept)}
    vocabulary = content["model"]["vocab"]
    processor = dict(content["post_processor"] or {})
    if "special_tokens" in processor:
        processor["special_tokens"] = {
            name: {**token, "ids": [numbers[piece] for piece in token["tokens"]]}
            for name, token in processor["special_tokens"].items()
        }
    for end in {"cls", "sep"} & processor.keys():  # of BertProcessing and RobertaProcessing
        processor[end] = [processor[end][0], numbers[processor[end][0]]]
    return {
        **content,
        "truncation": None,
        "padding": None,
        "added_tokens": [{**token, "id": numbers[token["content"]]} for token in content["added_tokens"]],
        "post_processor": processor or None,
        "model": {**content["model"], "vocab": {piece: numbers[piece] for piece in kept if piece in vocabulary}},
    }


def trim_embeddings(model: PreTrainedModel, rows: list[int]) -> None:
    """Leaves a model the given rows of its word embeddings, in place.

    Args:
        model: with any head but one for masked tokens, whose bias is the caller's.
        rows: old numbers of the pieces, in the order of their new numbers.
    """
    whole: Any = model.get_input_embeddings()
    kept = whole.weight.detach()[rows].clone()
    model.resize_token_embeddings(len(rows), mean_resizing=False)
    fewer: Any = model.get_input_embeddings()
    with torch.no_grad():
        fewer.weight.copy_(kept)
    for name, number in model.config.to_dict().items():
        if name.endswith("_token_id") and number in rows:
            setattr(model.config, name, rows.index(number))
