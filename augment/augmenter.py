"""The Python interface: texts in, variants with their edits out."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from augment.calls import draw_table, find_candidates
from augment.candidates import CandidateFinder
from augment.errors import AugmentError
from augment.files.checks import case_warning
from augment.files.find import find_model
from augment.given_texts import BadTexts, read_texts
from augment.masked_lm import MaskedLM, load_masked_lm, resolve_device
from augment.precision import resolve_precision
from augment.presets import CandidateSettings, DrawSettings, check_protected, preset
from augment.remembered import RememberedCandidates
from augment.stored import StoredCandidates
from augment.variant_table import Edit, Variant, variants_by_text
from glove import WordVectors, load_vectors

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa

    from augment.candidate_table import Candidates

    Texts = Iterable[str] | Iterable[tuple[str, str]]

__all__ = ["Augmenter", "Edit", "Variant"]

OF_CALLS = {"n", "p", "seed", "duplicates"}  # draw settings that `augment` takes


class Augmenter:
    """Augments texts by Algorithm 1 (paper, appendix A).

    The masked LM reads a text once: its candidates are remembered (up to 256 MB, the latest), so another seed is cheap.

    It can be pickled, for `datasets.map(num_proc=…)` and the like: a model that was loaded from a folder is loaded
    from it again in the other process.

    Args:
        model: a masked LM.
        vectors: GloVe vectors for words of several pieces; None leaves such words as they are.
        settings: what decides the candidates.
        batch_tokens: tokens in one forward pass; None for 2,048 on a CPU and by the memory of a GPU.
        draw: how variants are drawn where `augment` is not told.

    Attributes:
        settings: what decides the candidates; None where they were found before (`from_candidates`).

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
        batch_tokens: int | None = None,
        draw: DrawSettings | None = None,
    ) -> None:
        settings = settings or CandidateSettings()
        if settings.segment == "partner":
            raise AugmentError("segment: expected none or self, found 'partner': texts are read one by one")
        tokens = model.batch_tokens if batch_tokens is None else batch_tokens
        if not isinstance(tokens, int) or tokens < 1:
            raise AugmentError(
                f"batch_tokens: expected at least 1, or None for what suits the device, found {tokens!r}"
            )
        finder = CandidateFinder(model, vectors, settings, tokens)
        self.settings: CandidateSettings | None = settings
        self._draw = draw or DrawSettings()
        self._finder: RememberedCandidates | StoredCandidates = RememberedCandidates(finder)
        self._running = finder if settings.context == "running" else None  # what draws with the changing text

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        glove: str | Path | None = None,
        *,
        preset_name: str = "paper",
        device: str = "auto",
        precision: str = "auto",
        batch_tokens: int | None = None,
        revision: str | None = None,
        **settings: Any,
    ) -> Augmenter:
        """Loads a masked LM and vectors.

        Args:
            model: a folder or a name on the hub.
            glove: a vectors file or name (see `glove.load_vectors`); None or "none" for none.
            preset_name: `paper`, `fast`, `algorithm1`, `official` or `texts`.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            precision: `fp32`, `tf32`, `bf16`, `fp16`, or `auto`: fp32 on a CPU, bf16 or else fp16 on a GPU.
            batch_tokens: tokens in one forward pass; None for 2,048 on a CPU and by the memory of a GPU.
            revision: of the model on the hub.
            settings: fields of `CandidateSettings`, and `pairs` of `DrawSettings`: which text of a pair varies.

        Returns:
            An augmenter.

        Raises:
            AugmentError: a model or a setting that cannot be used.
            glove.VectorsError: vectors that cannot be used.
        """
        device = resolve_device(device)
        precision = resolve_precision(precision, device)
        if given := settings.keys() & OF_CALLS:
            raise AugmentError(
                f"{', '.join(sorted(given))}: expected as argument of augment(), found in from_pretrained()"
            )
        candidate_settings, draw_settings = preset(preset_name, **settings)
        vectors = None if glove is None or str(glove) == "none" else load_vectors(glove)
        files = find_model(str(model), revision)
        if warning := case_warning(files.folder, files.who):
            warnings.warn(warning, stacklevel=2)
        masked_lm = load_masked_lm(files, device, precision, candidate_settings.punctuation)
        return cls(masked_lm, vectors, candidate_settings, batch_tokens, draw_settings)

    @classmethod
    def from_candidates(cls, candidates: Candidates, draw: DrawSettings | None = None) -> Augmenter:
        """Draws from candidates found before: no model is loaded, no GPU is needed.

        Args:
            candidates: what `candidates` returned, or those of a run (`augment.candidate_table.from_arrow`).
            draw: how variants are drawn where `augment` is not told.

        Returns:
            An augmenter of these texts; any other text is a bad one.

        Raises:
            AugmentError: a text occurs twice in the candidates.
        """
        augmenter = cls.__new__(cls)
        augmenter.settings, augmenter._draw = None, draw or DrawSettings()
        augmenter._finder, augmenter._running = StoredCandidates(candidates), None
        return augmenter

    def candidates(self, texts: Texts, errors: str = "raise") -> Candidates:
        """Candidates of every eligible word, to be looked at or drawn from later (`from_candidates`).

        Args:
            texts: any texts, or pairs of them.
            errors: as for `augment`; a text that was skipped is among the candidates' `errors`, or is no string.

        Returns:
            The candidates of the different texts, in the order in which they first occur.

        Raises:
            AugmentError: a bad text, or context `running`, whose candidates are found while variants are drawn.
            ModelFailedError: the masked LM fails whatever it is given.
        """
        if self._running:
            raise AugmentError(
                "candidates: expected context original, found running, where they depend on the variant and cannot "
                "be stored; call augment"
            )
        bad = BadTexts(errors)
        found = find_candidates(self._finder, read_texts(texts, None, bad), bad)
        bad.warn(stacklevel=3)
        return found

    def augment(
        self,
        texts: Texts,
        n: int | None = None,
        p: float | None = None,
        seed: int = 42,
        unique: bool | None = None,
        ids: Iterable[int] | None = None,
        errors: str = "raise",
        protect: Iterable[str] = (),
    ) -> list[list[Variant]]:
        """Draws variants, as objects.

        A variant depends on its text, its number and the seed, not on the texts beside it: one call gives the same
        as many. Equal texts of one call get variants of their own, in the order of their occurrence; over several
        calls they get the same ones, unless `ids` or the seed differ (`seed=epoch` draws anew in each epoch).

        Args:
            texts: T texts, or T pairs of texts (tuples or lists of two), both of which vary unless `from_pretrained`
                was told another value of `pairs`.
            n: variants of each; None for the preset's, 20.
            p: probability of replacing a word; None for the preset's, 0.4.
            seed: an integer from 0 to 2^64 - 1.
            unique: redraws variants equal to the original or to one another, and drops what stays equal; None
                for what the preset does.
            ids: T integers of 64 bits to draw the texts by in place of a hash of the text, such as row numbers,
                with which a job draws; equal ids and equal texts give equal variants.
            errors: what to do with a bad text (no string, too many words, or one that the masked LM fails on):
                `raise`, or `skip` it with a `SkippedTextsWarning`.
            protect: words, phrases and `/regular expressions/` that stay, beside those of `from_pretrained`.

        Returns:
            T lists of n variants (fewer with `unique` where a text has no more, none for a skipped text),
            originals not included.

        Raises:
            AugmentError: a setting out of range, ids that do not fit, or a bad text, named by its index.
            ModelFailedError: the masked LM fails whatever it is given.
        """
        return variants_by_text(*self._drawn(texts, ids, errors, self._settings(n, p, seed, unique), protect))

    def augment_table(
        self,
        texts: Texts,
        n: int | None = None,
        p: float | None = None,
        seed: int = 42,
        unique: bool | None = None,
        ids: Iterable[int] | None = None,
        errors: str = "raise",
        protect: Iterable[str] = (),
    ) -> pa.Table:
        """Draws the same variants, and the originals, as an Arrow table: about nine times as fast as objects.

        Args:
            texts: T texts or pairs.
            n: as for `augment`, like all that follow.
            p: probability of replacing a word.
            seed: of the draws.
            unique: whether equal variants are drawn again.
            ids: integers to draw the texts by.
            errors: `raise` or `skip`.
            protect: what stays.

        Returns:
            One row for each original (`variant` 0) and each variant (from 1 without gaps), in the order of the texts:
            `source_idx` (int64, index of the text in the call), `variant` (int32), `text`, of pairs `partner`, and
            `edits` (a list of structs with the fields of `Edit`). A skipped text has no row.

        Raises:
            AugmentError, ModelFailedError: as `augment`.
        """
        return self._drawn(texts, ids, errors, self._settings(n, p, seed, unique), protect)[0]

    def _settings(self, n: int | None, p: float | None, seed: int, unique: bool | None) -> DrawSettings:
        given: dict[str, Any] = {"n": n, "p": p, "duplicates": {True: "redraw", False: "keep", None: None}[unique]}
        return replace(self._draw, seed=seed, **{name: value for name, value in given.items() if value is not None})

    def _drawn(
        self, texts: Texts, ids: Iterable[int] | None, errors: str, settings: DrawSettings, protect: Iterable[str]
    ) -> tuple[pa.Table, int]:
        """Variants of the texts of a call, and how many texts it was given."""
        bad = BadTexts(errors)
        entries: Any = protect if isinstance(protect, str) else tuple(protect)  # a single string is refused
        check_protected(entries)
        given = read_texts(texts, ids, bad)
        table = draw_table(given, find_candidates(self._finder, given, bad), self._running, settings, entries, bad)
        bad.warn(stacklevel=4)
        return table, given.called_with
