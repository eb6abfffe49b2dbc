"""A masked LM's tokenizer: what it must be, and the words it makes where its model is not needed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from augment.errors import AugmentError, is_of_machine
from augment.files.kinds import KINDS, WORD_PIECE, tokenizer_kind
from augment.subwords import SubwordSplitter
from augment.words import WordSplitter

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from augment.files.find import ModelFiles


def load_splitter(files: ModelFiles) -> WordSplitter:
    """Splits texts as a masked LM does.

    Args:
        files: what `find_model` found.

    Raises:
        AugmentError: the folder has no tokenizer that can be used.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(files.folder, trust_remote_code=False)
    except Exception as error:  # as of a model's weights
        if is_of_machine(error):
            raise
        reason = str(error).strip().split("\n")[0]
        raise AugmentError(f"masked LM {files.name}: cannot be loaded: {type(error).__name__}: {reason}") from error
    return splitter_of(tokenizer)


def splitter_of(tokenizer: PreTrainedTokenizerFast) -> WordSplitter:
    """What splits texts as a masked LM's tokenizer does.

    Raises:
        AugmentError: it has no Rust half, lacks the unknown token, or is of a kind whose words are not known.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise AugmentError(
            f"tokenizer: expected a fast one (tokenizer.json), found {type(tokenizer).__name__}, which is slow; choose "
            "a model that has one, such as bert-base-uncased"
        )
    kind = tokenizer_kind(json.loads(backend.to_str()))
    if kind not in KINDS:
        raise AugmentError(f"tokenizer: expected {' or '.join(KINDS)}, found {kind}; choose a model that has one")
    if kind == WORD_PIECE:
        return WordSplitter(backend, token_id(tokenizer, "unk_token"))
    unknown = token_id(tokenizer, "unk_token") if tokenizer.unk_token is not None else -1  # bytes need none
    return SubwordSplitter(backend, unknown, kind)


def token_id(tokenizer: Any, role: str) -> int:
    """The id of a special token.

    Args:
        tokenizer: of a masked LM.
        role: such as `mask_token`.

    Raises:
        AugmentError: there is none.
    """
    token = getattr(tokenizer, role, None)
    if token is None:
        raise AugmentError(
            f"tokenizer: expected a {role}, found none; Algorithm 1 needs a masked language model: choose one such as "
            "bert-base-uncased, or set the token in the tokenizer's configuration"
        )
    return int(tokenizer.convert_tokens_to_ids(token))
