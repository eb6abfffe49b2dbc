"""What the tests of `augment` share: small parts put together, texts, and oracles beside them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from augment.batch import Excluded, Rows
from augment.candidates import CandidateFinder
from augment.masked_lm import MaskedLM
from augment.presets import CandidateSettings
from glove import WordVectors, vectors_from_arrays
from tests.fixtures import VOCABULARY, glove_text, tiny_masked_lm, tiny_tokenizer
from tests.oracles import algorithm1 as oracle

LONG = " ".join(["the quick bird feels rather small and the gripping scene"] * 6) + "."  # more than 64 tokens
TEXTS = [
    "the film is very good",
    "A Gripping film!  Not a dull plot, never slow.",
    "PARIS and London; berlin (Paris) I",
    "i don't like [MASK] movies [SEP] or ##ing",
    "中文 film 中good文",
    "cafe\u0301 NAÏVE Movie é…",
    "Riveting movies, absorbing cinema: GLOWING Sparkling",
    "zzgripping ωωω qq ❤️ 🙂 tedious",
    "",
    "?! …",
    "good",
    "the film the film the film the film",
    "the film is very good",
    "  three\ttwo\none 10 1 2\u00a0films  ",
    "iPhone gRIPPING mOVIE X",
    LONG,
    "boring " + "x" * 101 + " dreary " + "bad " * 62,
]


def tiny_vectors(words: list[str] | None = None, **options: int) -> WordVectors:
    lines = [line.split(" ") for line in glove_text(words, **options).splitlines()]
    return vectors_from_arrays([line[0] for line in lines], np.array([line[1:] for line in lines], dtype=np.float32))


def tiny_lm(seed: int = 0, punctuation: bool = False, **changes: Any) -> MaskedLM:
    return MaskedLM(tiny_masked_lm(seed, **changes), tiny_tokenizer(), punctuation=punctuation)


def tiny_finder(
    seed: int = 0, batch_tokens: int = 300, vectors: WordVectors | None = None, **settings: Any
) -> CandidateFinder:
    chosen = CandidateSettings(**settings)
    vectors = tiny_vectors() if vectors is None else vectors
    return CandidateFinder(tiny_lm(seed, chosen.punctuation), vectors, chosen, batch_tokens)


class Copies(NamedTuple):
    """Masked copies that a test makes by itself.

    Attributes:
        ids: int64 (B, L), 0 where padded.
        lengths: int64 (B,).
        first_segment: int64 (B,) tokens of the first segment.
        positions: int64 (B, Q), -1 where a copy has fewer than Q masks.
    """

    ids: np.ndarray
    lengths: np.ndarray
    first_segment: np.ndarray
    positions: np.ndarray


def propose(lm: MaskedLM, copies: Copies, k: int, exclude: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Words and scores (M, k) for the masks of copies in rows."""
    ids, lengths, first, positions = (torch.from_numpy(array) for array in copies)
    column, picked = torch.arange(ids.shape[1]), torch.from_numpy(np.flatnonzero(copies.positions >= 0))
    excluded = None
    if exclude is not None:
        barred = torch.from_numpy(np.where(exclude < 0, lm.mask_id, exclude)).to(lm.device)
        excluded = Excluded(barred, None)
    given = (
        ids,
        (column >= first[:, None]).long() if lm.segments > 1 else None,
        (column < lengths[:, None])[:, None, None] if int(lengths.min()) < len(column) else None,
        positions.clamp(min=0),
        picked,
    )
    batch = Rows(*(None if one is None else one.to(lm.device) for one in given), excluded)
    return lm.start(batch, k).taken(len(picked))


def oracles(seed: int, k: int, **options: bool) -> tuple[oracle.BertModel, oracle.Glove]:
    bert = oracle.BertModel(tiny_masked_lm(seed), VOCABULARY, k, **options)
    return bert, oracle.Glove(glove_text(), k, options.get("punctuation", False))


def one_digit_apart(left: float, right: float) -> bool:
    """Whether two scores of three significant digits differ by at most one in the last of them."""
    size = max(abs(left), abs(right))
    return size == 0 or abs(left - right) <= 1.01 * 10.0 ** (math.floor(math.log10(size)) - 2)
