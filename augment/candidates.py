"""Finds the candidates of words: masked LM for single-piece words, GloVe for the others (Algorithm 1, 7-12)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from augment.candidate_table import GLOVE, MLM, Candidates, word_counts
from augment.casing import is_cased
from augment.characters import is_cjk
from augment.device_copies import CJK_ONLY, UNSPACED
from augment.kept import NO_WORDS, Sorted, WordSorter, kept_counts
from augment.masked_copies import MaskedCopies, Masks
from augment.proposals import Proposals
from augment.ragged import offsets_of
from augment.similar import SimilarWords
from augment.sites import StringPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from augment.masked_lm import MaskedLM
    from augment.presets import CandidateSettings
    from augment.words import TokenRows, Words
    from glove import WordVectors

VECTORS_ASKED = 10_000  # words whose case tells whether vectors are cased


@dataclass(frozen=True)
class Asked:
    """What the masked LM and the vectors are asked about some texts.

    Args:
        words: of the texts.
        kept: how the words of each text are sorted.
        free: int64 (S,) the words that may be replaced: the slots of candidates.
        copies: masked copies for those of one piece.
        excluded: int64 (S, E) ids never proposed for each, or None.
    """

    words: Words
    kept: list[Sorted]
    free: np.ndarray
    copies: MaskedCopies
    excluded: np.ndarray | None


class CandidateFinder:
    """Finds candidates of texts; deterministic for a given list of texts.

    Args:
        model: the masked LM.
        vectors: GloVe vectors for words of several pieces, or None to leave such words as they are.
        settings: what decides the candidates.
        batch_tokens: tokens in one forward pass.
        threads: cores that look for neighbours; None for all.
    """

    def __init__(
        self,
        model: MaskedLM,
        vectors: WordVectors | None,
        settings: CandidateSettings,
        batch_tokens: int = 2048,
        threads: int | None = None,
    ) -> None:
        self.model, self.settings, self.batch_tokens = model, settings, batch_tokens
        self._vectors, self._threads = vectors, threads
        self.similar = SimilarWords(
            vectors, model.splitter, settings.k, settings.punctuation, threads, str(model.device)
        )
        self.special = model.special
        self._sorter = WordSorter(settings)
        cased = model.vocabulary.cased
        self._own_case = (cased, cased and vectors is not None and _has_case(vectors))

    def __reduce__(self) -> tuple[type[CandidateFinder], tuple[Any, ...]]:
        # What is looked up and compiled along the way is made again, not pickled.
        return CandidateFinder, (self.model, self._vectors, self.settings, self.batch_tokens, self._threads)

    def find(self, texts: Sequence[str], partners: Sequence[str] | None = None) -> Candidates:
        """Candidates of every eligible word of some texts; with context `running`, of multi-piece words only.

        Args:
            texts: T texts.
            partners: with segment `partner`, the other text of each pair.

        Returns:
            The candidates; a text that cannot be worked on has an entry in `errors` and no words.

        Raises:
            ModelFailedError: the masked LM fails whatever it is given.
        """
        asked = self.prepare(texts, partners)
        return self.assemble(asked, self.propose(asked))

    def prepare(self, texts: Sequence[str], partners: Sequence[str] | None = None) -> Asked:
        """The first of three steps that `find` takes: splits texts, and says what is to be masked; no device is used.

        Args:
            texts: as for `find`.
            partners: likewise.
        """
        words = self.model.splitter.split(texts)
        kept = self.sorted_words(words)
        free = self.free(words, kept)
        copies = self._copies(words, free, partners, self.settings.context == "running")
        return Asked(words, kept, free, copies, self.excluded(words, free))

    def propose(self, asked: Asked) -> Proposals:
        """The second step, and the only one that uses the device: one thread at a time may take it.

        Args:
            asked: what `prepare` gave.

        Raises:
            ModelFailedError: the masked LM fails whatever it is given.
        """
        proposals = Proposals(self.model, len(asked.free), self.settings.k, asked.excluded)
        proposals.run(asked.copies, self.batch_tokens)
        return proposals

    def assemble(self, asked: Asked, proposals: Proposals) -> Candidates:
        """The last step: neighbours of words of several pieces, and the table of all.

        Args:
            asked: what `prepare` gave.
            proposals: what `propose` gave for it.
        """
        words, kept = asked.words, asked.kept
        errors = {**self._too_long(words), **proposals.errors}
        counts = {**asked.copies.counts, **kept_counts(kept), "split_batches": proposals.split_batches}
        return replace(self._assemble(words, asked.free, proposals, errors, counts), kept=kept)

    def free(self, words: Words, kept: Sequence[Sorted] | None = None) -> np.ndarray:
        """The words that may be replaced.

        Args:
            words: of T texts.
            kept: how they were sorted; None: they are sorted now.

        Returns:
            int64 (S,), ascending.
        """
        kept = self.sorted_words(words) if kept is None else kept
        counts = [len(one.free) for one in kept]
        places = np.array([place for one in kept for place in one.free], dtype=np.int64)
        return places + np.repeat(words.offsets[:-1], counts)

    def count(self, texts: Sequence[str], partners: Sequence[str] | None = None) -> dict[str, int]:
        """What `find` would do, without the masked LM.

        Args:
            texts: T texts.
            partners: as for `find`.

        Returns:
            Words, masked (single-piece) words, multi-piece words, masked copies and their tokens.
        """
        words = self.model.splitter.split(texts)
        free = self.free(words)
        counts = self._copies(words, free, partners).counts
        return {"words": len(words.starts), **counts, "multi_piece_words": len(free) - counts["masked_words"]}

    def _copies(
        self, words: Words, free: np.ndarray, partners: Sequence[str] | None, later: bool = False
    ) -> MaskedCopies:
        """Copies for the words of one piece; none where they are masked `later`, while variants are drawn."""
        slots = np.flatnonzero(words.single_piece[free] & (not later))
        masked = free[slots]
        texts = words.texts_of(masked)
        masks = Masks(texts, masked - words.offsets[texts], words.tokens[masked], slots)
        return MaskedCopies(words.rows, self.seconds(words, partners), masks, self.special, self.settings.mask_spacing)

    def sorted_words(self, words: Words) -> list[Sorted]:
        """How the words of each text are sorted.

        Args:
            words: of T texts.

        Returns:
            For each text; one that is too long has no words.
        """
        limit = np.diff(words.offsets) <= self.settings.max_words
        return [self._sorter.sort(words, number) if may else NO_WORDS for number, may in enumerate(limit)]

    def _too_long(self, words: Words) -> dict[int, str]:
        limit = self.settings.max_words
        return {
            number: f"expected at most {limit:,} words (--max-words), found {size:,}"
            for number, size in enumerate(np.diff(words.offsets).tolist())
            if size > limit
        }

    def seconds(self, words: Words, partners: Sequence[str] | None) -> TokenRows | None:
        """Ids of the second segment that each text is shown with, None for none.

        Args:
            words: of T texts.
            partners: as for `find`.
        """
        if self.settings.segment == "self":
            return words.rows
        if self.settings.segment == "partner" and partners is not None:
            return self.model.splitter.split(partners).rows
        return None

    def excluded(self, words: Words, wanted: np.ndarray) -> np.ndarray | None:
        """What must not be proposed: all but CJK for CJK; words behind a space where there is none; if asked the word.

        Args:
            words: of T texts.
            wanted: int64 (M,) the words.

        Returns:
            int64 (M, E) as `MaskedLM.propose` reads it; None where nothing is excluded.
        """
        texts, single = words.texts_of(wanted), words.single_piece[wanted]
        ids = words.rows.ids[words.rows.offsets[texts] + words.tokens[wanted]]
        unspaced = self.model.vocabulary.lack_space(ids)
        if not self.settings.exclude_original:  # no CJK character is ASCII
            single &= unspaced | ~np.array([text.isascii() for text in words.texts], dtype=bool)[texts]
        asked = np.flatnonzero(single)
        told = ids[asked].tolist(), unspaced[asked].tolist()
        rows = list(map(self._barred, words.spellings(wanted[asked]), *told))
        if not any(rows):
            return None
        found = np.full((len(wanted), max(map(len, rows))), -1, dtype=np.int64)
        for row, barred in zip(asked.tolist(), rows, strict=True):
            found[row, : len(barred)] = barred
        return found

    def _barred(self, spelling: str, token: int, unspaced: bool) -> tuple[int, ...]:
        barred = ((CJK_ONLY,) if is_cjk(spelling) else ()) + ((UNSPACED,) if unspaced else ())
        if not self.settings.exclude_original:
            return barred
        return (*barred, *self.model.vocabulary.same_word(token, spelling))

    def _assemble(
        self, words: Words, free: np.ndarray, proposals: Proposals, errors: dict[int, str], counts: dict[str, int]
    ) -> Candidates:
        kept = np.flatnonzero(~np.isin(words.texts_of(free), list(errors)))
        free = free[kept]
        sources = np.where(words.single_piece[free], MLM, GLOVE).astype(np.int8)
        multi_piece = np.flatnonzero(sources == GLOVE)
        tokens, others = self.model.vocabulary.tokens, StringPool()
        similar = self._similar(words.spellings(free[multi_piece]), others)

        ids = proposals.ids[kept]  # (W, k)
        there = ids >= 0  # nowhere in the rows of GloVe's
        sizes = there.sum(axis=1)
        sizes[multi_piece] = [len(numbers) for numbers, _ in similar]
        offsets = offsets_of(sizes)
        proposed = np.repeat(sources == MLM, sizes)
        flat_ids = np.empty(offsets[-1], dtype=np.int64)
        scores = np.empty(offsets[-1], dtype=np.float32)
        flat_ids[proposed], scores[proposed] = ids[there], proposals.scores[kept][there]
        if similar:
            numbers, cosines = map(np.concatenate, zip(*similar, strict=True))
            flat_ids[~proposed], scores[~proposed] = len(tokens) + numbers, cosines
        is_used = np.zeros(len(tokens) + len(others.strings), dtype=bool)
        is_used[flat_ids] = True
        used, codes = np.flatnonzero(is_used), (np.cumsum(is_used) - 1)[flat_ids]
        known = int(np.searchsorted(used, len(tokens)))  # the vocabulary's come first
        spellings = [tokens[number] for number in used[:known]] + others.strings
        return Candidates(
            words.texts,
            np.searchsorted(free, words.offsets).astype(np.int64),
            words.starts[free],
            words.ends[free],
            sources,
            offsets,
            codes.astype(np.int32),
            scores,
            spellings,
            errors,
            {**counts, **word_counts(sources, sizes), "texts": len(words.texts), "failed_texts": len(errors)},
            own_case=self._own_case,
        )

    def _similar(self, spellings: list[str], pool: StringPool) -> list[tuple[np.ndarray, np.ndarray]]:
        """Neighbours of words as numbers of a pool int64 (n,), and their cosines float32 (n,)."""
        different = list(dict.fromkeys(spellings))
        found = {}
        for spelling, near in zip(different, self.similar.of(different), strict=True):
            numbers = np.array([pool.number(neighbour) for neighbour, _ in near], dtype=np.int64)
            found[spelling] = numbers, np.array([score for _, score in near], dtype=np.float32)
        return [found[spelling] for spelling in spellings]


def _has_case(vectors: WordVectors) -> bool:
    return is_cased(vectors.word(row) for row in range(min(len(vectors), VECTORS_ASKED)))
