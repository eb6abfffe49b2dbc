"""Finds the candidates of words: masked LM for single-piece words, GloVe for the others (Algorithm 1, 7-12)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from augment.candidate_table import SOURCES, Candidates
from augment.casing import is_cased
from augment.characters import is_cjk
from augment.kept import NO_WORDS, Sorted, WordSorter, kept_counts
from augment.masked_copies import CopyGroup, Masked, SpecialIds, copy_sizes, masked_copies
from augment.masked_lm import CJK_ONLY
from augment.proposals import Proposals
from augment.similar import SimilarWords

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from augment.masked_lm import MaskedLM
    from augment.presets import CandidateSettings
    from augment.words import Word, WordedText
    from glove import WordVectors

MLM, GLOVE = (SOURCES.index(name) for name in SOURCES)
VECTORS_ASKED = 10_000  # words whose case tells whether vectors are cased


class Slot(NamedTuple):
    """An eligible word of one of several texts.

    Attributes:
        text: number of the text.
        place: number of the word in its text.
        word: its span and first token.
    """

    text: int
    place: int
    word: Word


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
        self.similar = SimilarWords(vectors, model.splitter, settings.k, settings.punctuation, threads)
        self.special = SpecialIds(model.cls_id, model.sep_id, model.mask_id, model.window)
        self._sorter = WordSorter(settings)
        cased = model.vocabulary.cased
        self._own_case = (cased, cased and vectors is not None and _has_case(vectors))

    def __reduce__(self) -> tuple[type[CandidateFinder], tuple[Any, ...]]:
        # What is looked up and compiled along the way is made again, not pickled.
        return CandidateFinder, (self.model, self._vectors, self.settings, self.batch_tokens, self._threads)

    def find(
        self,
        texts: Sequence[str],
        partners: Sequence[str] | None = None,
    ) -> Candidates:
        """Candidates of every eligible word of some texts; with context `running`, of multi-piece words only.

        Args:
            texts: T texts.
            partners: with segment `partner`, the other text of each pair.

        Returns:
            The candidates; a text that cannot be worked on has an entry in `errors` and no words.

        Raises:
            ModelFailedError: the masked LM fails whatever it is given.
        """
        worded = self.model.splitter.split(texts)
        errors = self._too_long(worded)
        words = [NO_WORDS if number in errors else self._sorter.sort(text) for number, text in enumerate(worded)]
        slots = [slot for number, found in enumerate(words) for slot in _slots(number, worded[number], found)]
        groups = self._copies(worded, slots, partners)
        excluded = self.excluded((worded[slot.text], slot.word) for slot in slots)
        proposals = Proposals(self.model, len(slots), self.settings.k, excluded)
        proposals.run(groups, self.batch_tokens)
        errors.update(proposals.errors)
        counts = {
            **_copy_counts(groups),
            **kept_counts(words),
            "split_batches": proposals.split_batches,
        }
        return replace(self._assemble(worded, slots, proposals, errors, counts), kept=words)

    def slots(self, number: int, text: WordedText) -> list[Slot]:
        """The words of a text that may be replaced.

        Args:
            number: the text's number, to be written into the slots.
            text: the text.
        """
        return _slots(number, text, self._sorter.sort(text))

    def count(self, texts: Sequence[str], partners: Sequence[str] | None = None) -> dict[str, int]:
        """What `find` would do, without the masked LM.

        Args:
            texts: T texts.
            partners: as for `find`.

        Returns:
            Words, masked (single-piece) words, multi-piece words, masked copies and their tokens.
        """
        worded = self.model.splitter.split(texts)
        counts = dict.fromkeys(("words", "masked_words", "multi_piece_words", "masked_copies", "mlm_tokens"), 0)
        too_long = self._too_long(worded)
        for number, second in enumerate(self.seconds(worded, partners)):
            slots = [] if number in too_long else self.slots(number, worded[number])
            (masked,) = _masked_words(slots, 1, first=number)
            copies, tokens = copy_sizes(worded[number], masked, second, self.special.window, self.settings.mask_spacing)
            counts["words"] += len(worded[number].words)
            counts["masked_words"] += len(masked)
            counts["multi_piece_words"] += len(slots) - len(masked)
            counts["masked_copies"] += copies
            counts["mlm_tokens"] += tokens
        return counts

    def _copies(
        self, worded: Sequence[WordedText], slots: Sequence[Slot], partners: Sequence[str] | None
    ) -> list[CopyGroup]:
        if self.settings.context == "running":  # masked while variants are drawn, see `running`
            return []
        masked = _masked_words(slots, len(worded))
        seconds = self.seconds(worded, partners)
        return masked_copies(worded, masked, seconds, self.special, self.settings.mask_spacing)

    def _too_long(self, worded: Sequence[WordedText]) -> dict[int, str]:
        limit = self.settings.max_words
        return {
            number: f"expected at most {limit:,} words (--max-words), found {len(text.words):,}"
            for number, text in enumerate(worded)
            if len(text.words) > limit
        }

    def seconds(self, worded: Sequence[WordedText], partners: Sequence[str] | None) -> Sequence[list[int] | None]:
        """Ids of the second segment that each text is shown with, None for none.

        Args:
            worded: T texts.
            partners: as for `find`.
        """
        if self.settings.segment == "self":
            return [text.ids for text in worded]
        if self.settings.segment == "partner" and partners is not None:
            return [text.ids for text in self.model.splitter.split(partners)]
        return [None] * len(worded)

    def excluded(self, words: Iterable[tuple[WordedText, Word]]) -> np.ndarray | None:
        """What must not be proposed for some words: all but CJK for CJK; with `exclude_original` the word in any case.

        Args:
            words: M words with their texts.

        Returns:
            int64 (M, E) as `MaskedLM.propose` reads it; None where nothing is excluded.
        """
        rows = [self._barred(text, word) for text, word in words]
        if not any(rows):
            return None
        found = np.full((len(rows), max(map(len, rows), default=0)), -1, dtype=np.int64)
        for row, ids in zip(found, rows, strict=True):
            row[: len(ids)] = ids
        return found

    def _barred(self, text: WordedText, word: Word) -> tuple[int, ...]:
        if not word.single_piece:
            return ()
        spelling = text.spelling(word)
        barred = (CJK_ONLY,) if is_cjk(spelling) else ()
        if not self.settings.exclude_original:
            return barred
        return (*barred, *self.model.vocabulary.same_word(text.ids[word.token], spelling))

    def _assemble(
        self,
        worded: Sequence[WordedText],
        slots: Sequence[Slot],
        proposals: Proposals,
        errors: dict[int, str],
        counts: dict[str, int],
    ) -> Candidates:
        kept = np.array([number for number, slot in enumerate(slots) if slot.text not in errors], dtype=np.int64)
        words = [slots[number] for number in kept]
        sources = np.array([MLM if slot.word.single_piece else GLOVE for slot in words], dtype=np.int8)
        multi_piece = np.flatnonzero(sources == GLOVE)
        similar = self.similar.of([worded[words[n].text].spelling(words[n].word) for n in multi_piece])

        ids = proposals.ids[kept]  # (W, k)
        sizes = (ids >= 0).sum(axis=1)
        sizes[multi_piece] = [len(found) for found in similar]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        flat_ids = np.zeros(offsets[-1], dtype=np.int64)
        scores = np.zeros(offsets[-1], dtype=np.float32)
        word, rank = np.nonzero(ids >= 0)
        flat_ids[offsets[word] + rank] = ids[word, rank]
        scores[offsets[word] + rank] = proposals.scores[kept][word, rank]
        spellings = _Spellings(self.model.vocabulary.tokens)
        for row, found in zip(multi_piece, similar, strict=True):
            for place, (spelling, score) in enumerate(found, start=offsets[row]):
                flat_ids[place], scores[place] = spellings.number(spelling), score
        used, codes = np.unique(flat_ids, return_inverse=True)
        text_of_word = np.array([slot.text for slot in words], dtype=np.int64)
        return Candidates(
            [text.text for text in worded],
            np.searchsorted(text_of_word, np.arange(len(worded) + 1)).astype(np.int64),
            np.array([slot.word.start for slot in words], dtype=np.int32),
            np.array([slot.word.end for slot in words], dtype=np.int32),
            sources,
            offsets,
            codes.astype(np.int32),
            scores,
            [spellings.spelling(int(number)) for number in used],
            errors,
            {**counts, **_word_counts(sources, sizes), "texts": len(worded), "failed_texts": len(errors)},
            own_case=self._own_case,
        )


class _Spellings:
    """Numbers for spellings: the vocabulary's own ids, then one for each new word."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._added, self._numbers = tokens, [""][:0], dict[str, int]()

    def number(self, spelling: str) -> int:
        if spelling not in self._numbers:
            self._numbers[spelling] = len(self._tokens) + len(self._added)
            self._added.append(spelling)
        return self._numbers[spelling]

    def spelling(self, number: int) -> str:
        return self._tokens[number] if number < len(self._tokens) else self._added[number - len(self._tokens)]


def _slots(number: int, text: WordedText, words: Sorted) -> list[Slot]:
    return [Slot(number, place, text.words[place]) for place in words.free]


def _has_case(vectors: WordVectors) -> bool:
    return is_cased(vectors.word(row) for row in range(min(len(vectors), VECTORS_ASKED)))


def _masked_words(slots: Sequence[Slot], texts: int, first: int = 0) -> list[list[Masked]]:
    masked: list[list[Masked]] = [[] for _ in range(texts)]
    for place, slot in enumerate(slots):
        if slot.word.single_piece:
            masked[slot.text - first].append(Masked(slot.place, slot.word.token, place))
    return masked


def _copy_counts(groups: Sequence[CopyGroup]) -> dict[str, int]:
    return {
        "masked_words": sum(int((group.slots >= 0).sum()) for group in groups),
        "masked_copies": sum(len(group.ids) for group in groups),
        "mlm_tokens": sum(group.ids.size for group in groups),
    }


def _word_counts(sources: np.ndarray, sizes: np.ndarray) -> dict[str, int]:
    return {
        "eligible_words": len(sources),
        "single_piece_words": int((sources == MLM).sum()),
        "multi_piece_words": int((sources == GLOVE).sum()),
        "words_with_mlm_candidates": int(((sources == MLM) & (sizes > 0)).sum()),
        "words_with_glove_candidates": int(((sources == GLOVE) & (sizes > 0)).sum()),
        "words_without_candidates": int((sizes == 0).sum()),
    }
