"""The student of `bilstm-soft`: a vocabulary of words with vectors, and the LSTM over them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pipelines.distilling.checks import StudentPlan
from pipelines.errors import UserError
from pipelines.tasks import pass_over

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from distill.bilstm import BiLstmConfig
    from distill.student import Student
    from glove import WordVectors
    from pipelines.distilling.checks import TeacherFiles
    from pipelines.found import Found
    from pipelines.training.parts import TaskData
    from pipelines.training.request import DistillRequest

WORDS = 30_522  # of BERT's vocabulary, special ones included: with 300 numbers a word, the size in TinyBERT's Table 3
FIRST = 10_000  # frequent words of the vectors, which tell whether they know upper case
NAME = "bilstm-soft"


@dataclass(frozen=True)
class WordPlan(StudentPlan):
    """A student of word vectors.

    Args:
        vectors: that its embeddings start from.
        rows: of the vectors, in the order of the vocabulary behind the special tokens.
    """

    vectors: Any = None
    rows: tuple[int, ...] = ()


def plan_word_student(request: DistillRequest, data: TaskData, teacher: TeacherFiles, found: Found) -> WordPlan:
    """The vocabulary and sizes of a student.

    The words of the task's own train part come first, as many as have a vector, the most frequent ones first; then
    the first of the vectors, which files have by frequency, until there are `WORDS`.

    Args:
        request: what the user asked for.
        data: the task.
        teacher: files of the teacher, whose labels it takes.
        found: what the command has found already.

    Raises:
        UserError, VectorsError: the vectors cannot be had, or know no word of the train part.
    """
    from distill.bilstm import BiLstmConfig
    from distill.shapes import take_labels
    from distill.word_tokens import SPECIAL, word_tokenizer

    if request.glove == "none":
        raise UserError(f"--glove none: expected word vectors for the student of {NAME}; name a file of them")
    vectors = found.vectors(request.glove)
    first = vectors.words(np.arange(min(FIRST, len(vectors))))
    lowercase = all(word == word.lower() for word in first)
    rows = _chosen(vectors, _counted(data, lowercase), WORDS - len(SPECIAL), request.glove)
    tokenizer = word_tokenizer(vectors.words(np.array(rows)), lowercase)
    config = BiLstmConfig(
        vocab_size=len(tokenizer), embedding_size=vectors.dimensions, pairs=len(data.task.text_columns) == 2
    )
    take_labels(config, teacher.config)
    return WordPlan(NAME, NAME, config, (), None, tokenizer, vectors, tuple(rows))


def build_word_student(plan: WordPlan, seed: int) -> Student:
    """The student as it starts, in training mode.

    Args:
        plan: of it.
        seed: of what the vectors do not give: all weights but the embeddings of words.
    """
    from distill.bilstm import build_bilstm

    return build_bilstm(cast("BiLstmConfig", plan.config), _embeddings(plan, seed), seed)


def _counted(data: TaskData, lowercase: bool) -> Counter[str]:
    """The words of the task's own train part; none where there is no such part."""
    from distill.word_tokens import word_splitter, words_of

    counts: Counter[str] = Counter()
    if data.opened is None or "train" not in data.opened.parts:
        return counts
    split, splitter = data.opened.split("train"), word_splitter(lowercase)
    if data.skip_bad_rows:
        split = replace(split, on_bad=pass_over)
    for batch in split.batches():
        for column in data.task.text_columns:
            for text in batch.column(column).to_pylist():
                counts.update(words_of(text, splitter))
    return counts


def _chosen(vectors: WordVectors, counts: Counter[str], most: int, name: str) -> list[int]:
    """The rows of the vocabulary's words, ascending."""
    from distill.word_tokens import SPECIAL

    special = {vectors.row(token) for token in SPECIAL}
    seen = {row: count for word, count in counts.items() if (row := vectors.row(word)) is not None}
    if counts and not seen:
        raise UserError(
            f"--glove {name}: expected vectors of the words of the train part, found none of its {len(counts):,} "
            "different words; give vectors of its language"
        )
    own = sorted(seen.keys() - special, key=lambda row: (-seen[row], row))[:most]
    others = (row for row in range(len(vectors)) if row not in seen and row not in special)
    return sorted([*own, *islice(others, most - len(own))])


def _embeddings(plan: WordPlan, seed: int) -> NDArray[np.float32]:
    """Vectors (V, d) of length about 1: zeros for padding, drawn ones for unknown words and the end of a text."""
    from distill.word_tokens import SPECIAL

    known = np.asarray(plan.vectors.unit_rows[list(plan.rows)], np.float32)
    drawn = np.random.default_rng(seed).normal(0, known.shape[1] ** -0.5, (len(SPECIAL), known.shape[1]))
    drawn[0] = 0
    return np.concatenate([drawn.astype(np.float32), known])
