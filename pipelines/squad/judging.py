"""A model's answers to a part of SQuAD, and their scores by the official rules."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.reading import open_shards
from distill.shards import ShardStream, StreamSettings
from pipelines.evaluating.output_files import write_whole
from pipelines.run_folder.storage import Storage
from pipelines.squad.windows import ROW, rows_of, window_columns, write_windows
from pipelines.tasks.squad import may_lack_answers

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel

    from distill.precision import Precision
    from distill.span_answers import Answer
    from distill.squad_metric import Question
    from pipelines.reporting import Reporter
    from pipelines.tasks import Task
    from pipelines.tasks.squad import Row


@dataclass(frozen=True)
class Answered:
    """What a model answers to a part.

    Args:
        questions: id -> what is judged of it.
        scores: metric -> value, from 0 to 1.
    """

    questions: dict[str, Question]
    scores: dict[str, float]

    def __str__(self) -> str:
        return ", ".join(f"{metric} {self.scores[metric]:.4f}" for metric in ("f1", "exact"))

    @property
    def labels(self) -> np.ndarray:
        """One entry a question: 1 where it has an answer."""
        return np.array([bool(one.answers) for one in self.questions.values()], np.float64)

    def warn_of_guess(self, task: Task, part: str, reporter: Reporter, who: str, advice: str) -> None:
        """Warns where answering no question may be as good; arguments as of `dev_scores.Judged`."""
        from distill.guessing import find_guess

        if guess := find_guess(self.scores, self.labels, task.label.names):
            reporter.warning(f"{who}{self} on {part} is {guess}; {advice}")


@dataclass(frozen=True)
class AnswerJudge:
    """The questions of a part.

    Args:
        task: of SQuAD.
        place: file of the part as rows; windows are written beside it.
        tokenizer: of the models.
        max_length: tokens of a window.
    """

    task: Task
    place: str
    tokenizer: Any
    max_length: int
    _rows: list[Row] = field(default_factory=list, repr=False)

    def stream(self, batch_rows: int) -> ShardStream:
        """Batches of the windows.

        Args:
            batch_rows: of a forward pass.
        """
        from distill.tokens import tokenizer_json

        folder = Path(self.place).parent.parent
        windows = write_windows(Storage(str(folder)), self.place, self.tokenizer, self.max_length, judged=True)
        columns, settings = window_columns(labelled=False), StreamSettings(self.max_length, batch_rows, workers=0)
        files = open_shards(windows, columns)
        return ShardStream(files, columns, tokenizer_json(self.tokenizer), self.tokenizer.pad_token_id, settings)

    def judge(
        self,
        model: PreTrainedModel,
        stream: ShardStream,
        precision: Precision,
        stop: Callable[[], bool] | None = None,
    ) -> Answered:
        """A model's answers.

        Args:
            model: with a head for spans.
            stream: of `stream`.
            precision: of matrix products.
            stop: asked after every batch; True ends it.

        Raises:
            StoppedError: it was asked to stop.
            DistillError: predictions that are not finite numbers.
        """
        from distill.squad_metric import Question, squad_scores

        self._rows[:] = self._rows or [row for rows in rows_of(self.place) for row in rows]
        may_lack, questions = may_lack_answers(self.task), {}
        for number, (row, answer) in enumerate(
            zip(self._rows, self._answers(model, stream, precision, stop), strict=True)
        ):
            said = row["context"][answer.start : answer.end].strip()  # SentencePiece's tokens may begin with a blank
            odds = answer.null_odds if may_lack else float("-inf")
            questions[row.get("id", str(number))] = Question(tuple(row["answers"]["text"]), said, odds)
        return Answered(questions, squad_scores([*questions.values()], may_lack))

    def _answers(
        self, model: PreTrainedModel, stream: ShardStream, precision: Precision, stop: Callable[[], bool] | None
    ) -> list[Answer]:
        """The best answer to each question, in order."""
        import pyarrow.parquet as pq

        from distill.span_answers import Places, best_answer, span_logits

        logits = span_logits(model, stream, precision, stop)
        table = pq.read_table(stream.files.paths[0], columns=[ROW, "first", "starts", "ends", "best"]).to_pylist()
        windows: list[list[Any]] = [[] for _ in self._rows]
        for window, own in zip(table, logits, strict=True):
            windows[window.pop(ROW)].append((Places(**window), own))
        return [best_answer(some) for some in windows]


def judge_answers(
    model: PreTrainedModel, task: Task, place: str, tokenizer: Any, max_length: int, precision: str, batch_rows: int
) -> Answered:
    """A model's answers to a part that is judged once; arguments as above.

    Raises:
        DistillError: predictions that are not finite numbers.
    """
    from distill.precision import Precision

    judge = AnswerJudge(task, place, tokenizer, max_length)
    with closing(judge.stream(batch_rows)) as stream:
        return judge.judge(model, stream, Precision(precision))


def odds_file(predictions: Path) -> Path:
    """Where the odds of no answer lie, beside the predictions."""
    return predictions.with_name(f"{predictions.stem}-null-odds.json")


def write_answers(path: Path, task: Task, found: Answered) -> None:
    """Writes answers as the official evaluation reads them: {id: text}, and of 2.0 {id: odds of no answer}.

    Args:
        path: of the answers, at a threshold of 0.
        task: of SQuAD.
        found: the answers.

    Raises:
        JobError: a file cannot be written.
    """
    questions = found.questions.items()
    write_whole(path, _json({name: one.at(0.0) for name, one in questions}))
    if may_lack_answers(task):
        write_whole(odds_file(path), _json({name: one.null_odds for name, one in questions}))


def _json(content: dict[str, str] | dict[str, float]) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()
