"""Which tokens a masked LM has to guess: 15%, of them 80% [MASK], 10% any token, 10% left as they are (BERT).

Drawn by a hash of (seed, epoch, the shard's sha256, row, position): no generator state, so a resumed run, or one on
another number of ranks, masks the same tokens; and a shard is masked alike wherever it stands among others, as a
teacher cache that knows it by its content needs it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from distill.errors import DistillError
from distill.order import draws, shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from distill.shards import Batch

UNMASKED = -100  # the label of a position that is not guessed
CONTINUES = "##"  # how WordPiece marks a piece that goes on with a word
PLACES = 64  # masked positions of a batch are filled up to a multiple of these
MOST_PREDICTIONS = 20  # of a sequence, in BERT's pre-training
_ROW, _CHOICE, _ACTION, _TOKEN = 11, 12, 13, 14  # purposes of the draws


@dataclass(frozen=True)
class MaskSettings:
    """How tokens are masked.

    Attributes:
        rate: share of the tokens, special ones not counted.
        whole_word: mask all pieces of a word or none.
        static: the same tokens in every epoch, as a teacher cache needs it.
        mask_token: as the vocabulary has it.
    """

    rate: float = 0.15
    whole_word: bool = False
    static: bool = False
    mask_token: str = "[MASK]"

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise DistillError(f"expected a mask rate between 0 and 1; found {self.rate}. BERT's is 0.15.")

    def __str__(self) -> str:
        words, when = "words" if self.whole_word else "pieces", "once" if self.static else "each epoch"
        return f"{self.rate} of {words} masked {when} by {self.mask_token}"


@dataclass(frozen=True)
class CountedMasking(MaskSettings):
    """Masks a number of tokens, as BERT's pre-training does, where other settings draw for each token by itself.

    The number is that of the sequence's tokens, special ones counted, times the rate; at least 1, at most `most`.

    Attributes:
        most: tokens of a sequence that are masked at most.
    """

    most: int = MOST_PREDICTIONS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.whole_word or self.most < 1:
            raise DistillError(
                f"expected a number of pieces of at least 1 to mask; found {self.most}, whole_word {self.whole_word}. "
                f"BERT's is {MOST_PREDICTIONS}."
            )


class Masker:
    """Masks batches.

    Args:
        settings: how.
        tokenizer_json: of the fast tokenizer; its special tokens are neither masked nor drawn.
        seed: of the run.
        sha256: gives the hexadecimal digest of a shard by its index.

    Raises:
        DistillError: the vocabulary has no mask token, or no marks of words for whole-word masking.
    """

    def __init__(self, settings: MaskSettings, tokenizer_json: str, seed: int, sha256: Callable[[int], str]) -> None:
        vocabulary = Tokenizer.from_str(tokenizer_json).get_vocab()
        added = json.loads(tokenizer_json).get("added_tokens") or []
        special = {str(token["content"]) for token in added if token.get("special")} | {settings.mask_token}
        if settings.mask_token not in vocabulary:
            raise DistillError(
                f"expected the token {settings.mask_token} in the vocabulary; found none. A masked-LM loss needs the "
                "vocabulary of a masked LM, such as BERT's."
            )
        self.settings, self.seed, self.sha256 = settings, seed, cache(sha256)
        self.mask_id = vocabulary[settings.mask_token]
        size = max(vocabulary.values()) + 1
        self.special, self.continues = np.zeros(size, bool), np.zeros(size, bool)
        for token, number in vocabulary.items():
            self.special[number] = token in special
            self.continues[number] = token.startswith(CONTINUES) and token != CONTINUES
        self.drawable = np.array(sorted(n for t, n in vocabulary.items() if t not in special), np.int64)
        if settings.whole_word and not self.continues.any():
            raise DistillError(
                f"expected a WordPiece vocabulary ({CONTINUES}ing) for whole-word masking; found no such piece. Mask "
                "pieces instead."
            )

    def __call__(self, batch: Batch, epoch: int) -> Batch:
        """The batch with masked ids, and as labels (B, T) the ids that stood there, −100 elsewhere.

        Labels that the batch has stand at its first tokens ([CLS]), which are never masked.
        """
        ids = batch.ids
        places = np.broadcast_to(np.arange(ids.shape[1], dtype=np.uint64), ids.shape)
        units = places
        if self.settings.whole_word:
            starts = np.where(self.continues[ids], 0, places)
            units = np.maximum.accumulate(starts, axis=1)  # position of the piece that a word begins with
        rows = self._rows(batch, epoch)
        own = batch.mask.astype(bool) & ~self.special[ids]
        with np.errstate(over="ignore"):
            first, here = rows + units, rows + places  # modulo 2^64
        chosen = self._chosen(shares(first, _CHOICE), own, batch.mask)
        action = shares(here, _ACTION)
        drawn = self.drawable[(draws(here, _TOKEN) % np.uint64(len(self.drawable))).astype(np.int64)]
        shown = np.where(action < 0.8, self.mask_id, np.where(action < 0.9, drawn, ids))
        labels = np.where(chosen, ids, UNMASKED)
        if batch.labels is not None:
            labels[:, 0] = batch.labels
        return replace(batch, ids=np.where(chosen, shown, ids), labels=labels)

    def _chosen(self, drawn: NDArray[np.float64], own: NDArray[np.bool_], mask: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which positions (B, T) are guessed: those of a low draw or, of a number to be guessed, of the lowest ones."""
        settings = self.settings
        if not isinstance(settings, CountedMasking):
            return own & (drawn < settings.rate)
        wanted = np.clip(np.rint(mask.sum(-1) * settings.rate), 1, settings.most)  # (B,)
        ranks = np.argsort(np.argsort(np.where(own, drawn, 1.0), axis=1, kind="stable"), axis=1, kind="stable")
        return own & (ranks < wanted[:, None])

    def _rows(self, batch: Batch, epoch: int) -> NDArray[np.uint64]:
        """A number for each example (B, 1): its row, counted from the first 64 bits of its shard's digest."""
        shards, places = np.unique(batch.shard, return_inverse=True)
        starts = np.array([int(self.sha256(shard)[:16], 16) for shard in shards.tolist()], np.uint64)
        rows = starts[places] + batch.row.astype(np.uint64)  # modulo 2^64
        return draws(rows, self.seed, 0 if self.settings.static else epoch, _ROW)[:, None]


def masked_places(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where tokens are to be guessed, found by the host: a device that is asked how many there are must catch up first.

    Args:
        labels: (B, T), the ids that stood at masked positions, -100 elsewhere.

    Returns:
        (3, P): row, column and id of each; filled up with (0, 0, -100) to a multiple of 64, and of an eighth of a
        power of two, so that few different P come up.
    """
    rows, columns = np.nonzero(labels != UNMASKED)
    step = max(PLACES, 1 << max(0, len(rows).bit_length() - 4))
    found = np.zeros((3, max(1, -(-len(rows) // step)) * step), np.int64)
    found[2] = UNMASKED
    found[:, : len(rows)] = rows, columns, labels[rows, columns]
    return found
