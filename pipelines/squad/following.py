"""Answers through augmentation: their words stay, and their offsets follow the edits before them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.tasks.task import ANSWERS

if TYPE_CHECKING:
    from augment.draw import Draws, Jobs
    from augment.presets import DrawSettings
    from augment.sites import Sites
    from augment.variants import Drawer


@dataclass(frozen=True)
class AnswersKept:
    """Draws as another drawer does, but for the words that an answer of the example overlaps.

    Args:
        drawer: draws the others.
        answers: of the examples, R rows of the hub's form; they lie in the first text.
    """

    drawer: Drawer
    answers: pa.ChunkedArray

    def __call__(self, sites: Sites, jobs: Jobs, settings: DrawSettings) -> Draws:
        """The draws; arguments as of `augment.draw.draw_from_table`."""
        return self.drawer(sites, replace(jobs, kept=_spans(self.answers)[jobs.rows]), settings)


def moved_answers(answers: pa.ChunkedArray, edits: pa.ListArray, column: str) -> pa.Array:
    """The answers of variants, whose texts are those of the original, where they start in the variant.

    Args:
        answers: J rows, with the offsets of the originals.
        edits: J lists of `augment.assemble.EDIT`; none overlaps an answer.
        column: the text column that the answers lie in.

    Returns:
        J answers.
    """
    texts, starts = _flat(answers)
    rows, values = starts.value_parent_indices().to_numpy(), starts.flatten().to_numpy().astype(np.int64)
    of_edits, edit = edits.value_parent_indices().to_numpy(), edits.flatten()
    start, end = (edit.field(name).to_numpy().astype(np.int64) for name in ("start", "end"))
    longer = pc.utf8_length(edit.field("replacement")).to_numpy() - (end - start)
    longer = np.where(pc.equal(edit.field("column"), column).to_numpy(zero_copy_only=False), longer, 0)
    # Of row j, the edits before an answer are those up to its place in (row, start): their sums of `longer`.
    wide = int(max(start.max(initial=0), values.max(initial=0))) + 1
    order = np.argsort(of_edits * wide + start, kind="stable")
    sums = np.concatenate([[0], np.cumsum(longer[order])])
    keys = (of_edits * wide + start)[order]
    shift = sums[np.searchsorted(keys, rows * wide + values)] - sums[np.searchsorted(keys, rows * wide)]
    moved = pa.ListArray.from_arrays(starts.offsets, pa.array((values + shift).astype(np.int32)))
    return pa.StructArray.from_arrays([texts, moved], fields=list(ANSWERS))


def _flat(answers: pa.ChunkedArray) -> tuple[pa.ListArray, pa.ListArray]:
    """Texts and starts of answers, whose lists begin with the first value."""
    whole = pa.concat_arrays([chunk.cast(ANSWERS) for chunk in answers.chunks]) if answers.num_chunks else None
    if whole is None:
        whole = pa.array([], ANSWERS)
    return whole.field("text"), whole.field("answer_start")


def _spans(answers: pa.ChunkedArray) -> np.ndarray:
    """Where the answers are, int64 (R, K, 2); rows of fewer than K answers end in empty spans."""
    texts, starts = _flat(answers)
    counts = starts.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    spans = np.zeros((len(counts), int(counts.max(initial=0)), 2), np.int64)
    rows, first = starts.value_parent_indices().to_numpy(), starts.flatten().to_numpy().astype(np.int64)
    place = np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]
    spans[rows, place, 0] = first
    spans[rows, place, 1] = first + pc.utf8_length(texts.flatten()).to_numpy()
    return spans


def has_answers(answers: pa.ChunkedArray) -> np.ndarray:
    """1.0 for a question with an answer, 0.0 for one without, (R,)."""
    return (_flat(answers)[1].value_lengths().to_numpy(zero_copy_only=False) > 0).astype(np.float64)
