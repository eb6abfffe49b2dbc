"""The Python interface: texts in, variants with their edits out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from augment.candidates import CandidateFinder
from augment.errors import AugmentError
from augment.masked_lm import PRECISIONS, MaskedLM, load_masked_lm, resolve_device
from augment.model_files import find_model
from augment.presets import CandidateSettings, DrawSettings, preset
from augment.running import FailedExamplesError, RunningDrawer
from augment.sites import find_sites
from augment.variants import VariantBatch, draw_variants
from glove import WordVectors, load_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from augment.candidate_table import Candidates

TEXTS_AT_ONCE = 2048


@dataclass(frozen=True)
class Edit:
    """One replacement in a variant.

    Args:
        start, end: code points of the replaced word in the original text.
        original: the word that stood there.
        replacement: what stands in the variant.
        source: `mlm` or `glove`.
        rank: place among the word's candidates, from 0.
        score: probability or cosine.
    """

    start: int
    end: int
    original: str
    replacement: str
    source: str
    rank: int
    score: float


@dataclass(frozen=True)
class Variant:
    """A text with some words replaced.

    Args:
        text: the variant.
        edits: what was replaced, in order; spans are code points of the original text.
    """

    text: str
    edits: tuple[Edit, ...]


class Augmenter:
    """Augments texts by Algorithm 1 (paper, appendix A).

    Args:
        model: a masked LM.
        vectors: GloVe vectors for words of several pieces; None leaves such words as they are.
        settings: what decides the candidates.
        batch_tokens: tokens in one forward pass.
        draw: how variants are drawn where `augment` is not told.

    Raises:
        AugmentError: settings that single texts cannot have.

    Example:
        >>> augmenter = Augmenter.from_pretrained("bert-base-uncased", glove="glove-wiki-gigaword-300")
        >>> augmenter.augment(["a gripping film"], n=2, seed=0)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: MaskedLM,
        vectors: WordVectors | None = None,
        settings: CandidateSettings | None = None,
        batch_tokens: int = 2048,
        draw: DrawSettings | None = None,
    ) -> None:
        self.settings, self._draw = settings or CandidateSettings(), draw or DrawSettings()
        if self.settings.segment == "partner":
            raise AugmentError("segment: expected none or self, found 'partner': single texts have no partner")
        self._finder = CandidateFinder(model, vectors, self.settings, batch_tokens)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        glove: str | Path | None = None,
        *,
        preset_name: str = "paper",
        device: str = "auto",
        precision: str = "fp32",
        batch_tokens: int = 2048,
        revision: str | None = None,
        **settings: Any,
    ) -> Augmenter:
        """Loads a masked LM and vectors.

        Args:
            model: a folder or a name on the hub.
            glove: a vectors file or name (see `glove.load_vectors`), or None.
            preset_name: `paper`, `fast`, `algorithm1` or `official`.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            precision: `fp32`, `bf16` or `fp16`.
            batch_tokens: tokens in one forward pass.
            revision: of the model on the hub.
            settings: fields of `CandidateSettings`.

        Returns:
            An augmenter.

        Raises:
            AugmentError: a model or a setting that cannot be used.
            glove.VectorsError: vectors that cannot be used.
        """
        if precision not in PRECISIONS:
            raise AugmentError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
        if given := settings.keys() & {field.name for field in fields(DrawSettings)}:
            raise AugmentError(
                f"{', '.join(sorted(given))}: expected as argument of augment(), found in from_pretrained()"
            )
        candidate_settings, draw_settings = preset(preset_name, **settings)
        vectors = load_vectors(glove) if glove is not None else None
        files = find_model(str(model), revision)
        masked_lm = load_masked_lm(files, resolve_device(device), precision, candidate_settings.punctuation)
        return cls(masked_lm, vectors, candidate_settings, batch_tokens, draw_settings)

    def candidates(self, texts: Sequence[str]) -> Candidates:
        """Candidates of every eligible word, to be looked at or drawn from elsewhere.

        Args:
            texts: any texts.
        """
        return self._finder.find(_checked(texts))

    def augment(
        self,
        texts: Sequence[str],
        n: int | None = None,
        p: float | None = None,
        seed: int = 42,
        unique: bool | None = None,
    ) -> list[list[Variant]]:
        """Draws variants.

        Args:
            texts: T texts.
            n: variants of each; None for the preset's, 20.
            p: probability of replacing a word; None for the preset's, 0.4.
            seed: same seed, same texts in the same order, same variants.
            unique: redraws variants equal to the original or to one another, and drops what stays equal; None
                for what the preset does.

        Returns:
            T lists of n variants (fewer with `unique` where a text has no more), originals not included.

        Raises:
            AugmentError: a setting out of range, something that is no text, or a text that cannot be worked on.
            ModelFailedError: the masked LM fails whatever it is given.
        """
        texts = _checked(texts)
        given: dict[str, Any] = {"n": n, "p": p, "duplicates": {True: "redraw", False: "keep", None: None}[unique]}
        settings = replace(self._draw, seed=seed, **{name: value for name, value in given.items() if value is not None})
        found: list[list[Variant]] = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            found += self._augment(texts[start : start + TEXTS_AT_ONCE], start, settings)
        return found

    def _augment(self, texts: list[str], start: int, settings: DrawSettings) -> list[list[Variant]]:
        candidates = self._finder.find(texts)
        if candidates.errors:
            number, reason = next(iter(candidates.errors.items()))
            raise AugmentError(f"text {start + number}: {reason}")
        running = self.settings.context == "running"
        sites = find_sites(candidates, running)
        numbers = np.arange(start, start + len(texts))
        arguments = (sites, numbers, np.arange(len(texts))[:, None], ["text"], settings)
        try:
            if running:
                batch = draw_variants(*arguments, drawer=RunningDrawer(self._finder, candidates))
            else:
                batch = draw_variants(*arguments)
        except FailedExamplesError as failed:
            number, reason = next(iter(failed.errors.items()))
            raise AugmentError(f"text {start + number}: {reason}") from failed
        return _by_text(batch, len(texts))


def _checked(texts: Iterable[str]) -> list[str]:
    listed = list(texts) if isinstance(texts, Iterable) and not isinstance(texts, str) else [None]
    for text in listed:
        if not isinstance(text, str):
            raise AugmentError("texts: expected a list of strings, found something else; wrap a single text in [ ]")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise AugmentError(f"texts: expected Unicode text, found half a surrogate pair in {text[:40]!r}")
    return [str(text) for text in listed]


def _by_text(batch: VariantBatch, texts: int) -> list[list[Variant]]:
    found: list[list[Variant]] = [[] for _ in range(texts)]
    rows = zip(batch.rows, batch.variants, batch.texts[0].to_pylist(), batch.edits.to_pylist(), strict=True)
    for row, variant, text, edits in rows:
        if variant > 0:
            for edit in edits:
                del edit["column"]
            found[row].append(Variant(text, tuple(Edit(**edit) for edit in edits)))
    return found
