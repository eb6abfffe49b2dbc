"""`--trim-vocabulary`: a trained student loses the word pieces that none of the texts it learnt from have.

It learns with the whole vocabulary, as its teacher has it, and is trimmed when it is done: whatever is compared or
kept of the teacher stays as it is, and the scores before and after tell what the trimming alone costs.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.tokens import tokenizer_json
from pipelines.distilling.checks import naming
from pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import PreTrainedModel

    from distill.metrics import Scores
    from distill.shards import ShardStream
    from pipelines.tasks import Task

FLAG = "--trim-vocabulary"


@dataclass(frozen=True)
class Trimmed:
    """What a student lost, as metrics.json has it.

    Args:
        share: that was kept of the pieces that no text has.
        pieces: before and after.
        parameters: before and after.
        dev: part -> metric -> value, before.
    """

    share: float
    pieces: tuple[int, int]
    parameters: tuple[int, int]
    dev: Scores

    def __str__(self) -> str:
        was, now = self.pieces
        scores = [f"{part} {name} {value:.4f}" for part, found in self.dev.items() for name, value in found.items()]
        whole, fewer = (f"{count / 1e6:,.1f} M parameters ({4 * count / 1e6:,.1f} MB)" for count in self.parameters)
        return (
            f"{now:,} of {was:,} pieces are left, those of the training texts and {self.share:.0%} of the others: "
            f"{fewer}; the whole student has {', '.join([whole, *scores])}"
        )


def check_trim(tokenizer: Any, task: Task, shape: str) -> None:
    """Refuses what cannot be trimmed.

    Raises:
        UserError: answers in texts, whose windows teacher and student share; a vocabulary that is no WordPiece.
    """
    from distill.vocabulary import check_trimmable

    if task.label.is_span:
        raise UserError(
            f"{FLAG}: expected a task with labels, found {task.name}: its windows of tokens are made for teacher and "
            "student alike; leave it out"
        )
    with naming(FLAG):
        check_trimmable(json.loads(tokenizer_json(tokenizer)), f"student {shape}")


def used_pieces(streams: Iterable[ShardStream]) -> set[int]:
    """The numbers of all pieces that the rows of some streams have; closes the streams."""
    from distill.shards import Position

    found: set[int] = set()
    for stream in streams:
        with closing(stream):
            for batch in stream.batches(Position()):
                found.update(np.unique(batch.ids).tolist())
    return found


def trim_student(
    model: PreTrainedModel, tokenizer: Any, used: set[int], share: float, dev: Scores
) -> tuple[Any, Trimmed]:
    """Trims a model, in place.

    Args:
        model: the student with its head.
        tokenizer: a WordPiece one; unchanged.
        used: numbers of the pieces to keep.
        share: of the others to keep, 0 to 1.
        dev: scores of the whole model.

    Returns:
        The tokenizer with the pieces that are left, and what was lost.
    """
    from transformers import AutoTokenizer

    from distill.vocabulary import kept_pieces, numbered, trim_embeddings, trimmed_tokenizer

    content, parameters = json.loads(tokenizer_json(tokenizer)), model.num_parameters()
    kept, numbers = kept_pieces(content, used, share), numbered(content)
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        tokenizer.save_pretrained(folder)
        (Path(folder) / "tokenizer.json").write_text(json.dumps(trimmed_tokenizer(content, kept)), encoding="utf-8")
        fewer = AutoTokenizer.from_pretrained(folder)
    trim_embeddings(model, [numbers[piece] for piece in kept])
    return fewer, Trimmed(share, (len(numbers), len(kept)), (parameters, model.num_parameters()), dev)
