"""Whether exported models say what the model itself says, how well they do on dev, and how long a text takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pipelines.errors import JobError
from pipelines.evaluating.dev_scores import Judged, Predictor
from pipelines.squad.windows import write_windows
from pipelines.training.parts import open_stream, task_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distill.inputs import BatchTensors
    from distill.latency import Latency, Timed
    from distill.metrics import Scores
    from pipelines.exporting.texts import Texts
    from pipelines.reporting import Reporter
    from pipelines.squad.judging import Answered

TORCH, ONNX, INT8 = "torch", "onnx", "int8"
FILES = {TORCH: "model.safetensors", ONNX: "model.onnx", INT8: "model_int8.onnx"}
BOUND = 1e-3
"""Most that logits in fp32 may differ, where the greatest is 1 or less; of greater ones that share."""

SHAPES = ((1, 8), (4, 32), (1, None), (16, None))
"""Rows and tokens of batches that are compared; None is as many tokens as the model was trained with."""


@dataclass(frozen=True)
class Compared:
    """A form of the model beside the model itself.

    Attributes:
        difference: the largest of any logit.
        relative: that, by the largest logit where it is above 1.
        agreed: dev part -> share of its rows with the same class; empty without classes.
    """

    difference: float = 0.0
    relative: float = 0.0
    agreed: Mapping[str, float] = field(default_factory=dict)

    def joined(self, other: Compared) -> Compared:
        """Both comparisons as one; what is no number stays none."""
        difference = float(np.maximum(self.difference, other.difference))
        relative = float(np.maximum(self.relative, other.relative))
        return Compared(difference, relative, {**self.agreed, **other.agreed})


@dataclass(frozen=True)
class Findings:
    """What was found of the forms of a model, by their names.

    Attributes:
        dev: form -> part -> metric -> value; empty where nothing is labelled.
        latency: of one text at a time.
        compared: with the model in torch.
        shapes: rows and tokens of the batches that were compared beside single texts and dev rows.
        rows: dev part -> its rows.
    """

    dev: dict[str, Scores]
    latency: Latency
    compared: dict[str, Compared]
    shapes: list[tuple[int, int]]
    rows: Mapping[str, int]


@dataclass
class Comparison:
    """The forms of a model, given the same texts.

    Args:
        forms: name -> model on the CPU; the first is the one that they were made from.
        tokenizer: of the model.
        max_length: tokens at which texts are cut.
        texts: what they are given.
        reporter: is told of progress.
    """

    forms: Mapping[str, Any]
    tokenizer: Any
    max_length: int
    texts: Texts
    reporter: Reporter
    _found: dict[str, Compared] = field(default_factory=dict)

    def run(self) -> Findings:
        """Compares batches of several sizes, then single texts, then dev rows.

        Raises:
            JobError: logits that differ by more than the bound.
            DistillError: predictions that are not finite numbers.
        """
        shapes = self._compare_shapes()
        timed = self._time()
        for name in self._others:
            wanted, own = (np.concatenate([*map(np.ravel, timed.logits[form])]) for form in (TORCH, name))
            self._note(name, wanted, own)
        self._refuse_apart()
        judged = self._judge() if self.texts.labelled else {}
        self._refuse_apart()
        dev = {form: {part: one.scores for part, one in parts.items()} for form, parts in judged.items()}
        rows = {part: len(one.labels) for part, one in judged.get(TORCH, {}).items()}
        return Findings(dev, timed.latency, self._found, shapes, rows)

    @property
    def _others(self) -> list[str]:
        return [name for name in self.forms if name != TORCH]

    def _place(self) -> str:
        """Where the rows of the first part lie, or their windows."""
        place = self.texts.first
        if not self.texts.data.task.label.is_span:
            return place
        return write_windows(self.texts.storage, place, self.tokenizer, self.max_length, judged=True)

    def _compare_shapes(self) -> list[tuple[int, int]]:
        """Batches of other sizes and lengths than the exporter was shown, of the tokens of texts."""
        from distill.shards import Position

        stream = open_stream(
            self._place(), task_columns(self.texts.data.task, False), self.tokenizer, self.max_length, SHAPES[-1][0]
        )
        batch = next(iter(stream.batches(Position())))
        stream.close()
        rows = [(ids[:own], types[:own]) for ids, types, own in zip(batch.ids, batch.types, batch.lengths, strict=True)]
        shapes = [(count, min(tokens or self.max_length, self.max_length)) for count, tokens in SHAPES]
        for count, tokens in shapes:
            tensors = repeated(rows, count, tokens, self.tokenizer.pad_token_id)
            found = {name: _logits(model, tensors) for name, model in self.forms.items()}
            for name in self._others:
                self._note(name, found[TORCH], found[name])
        return shapes

    def _time(self) -> Timed:
        from distill.latency import single_texts, time_models

        self.reporter.message(f"timing {', '.join(self.forms)} on {self.texts.words}")
        columns = task_columns(self.texts.data.task, self.texts.labelled)
        return time_models(self.forms, single_texts(self._place(), columns, self.tokenizer, self.max_length))

    def _judge(self) -> dict[str, dict[str, Judged | Answered]]:
        judged: dict[str, dict[str, Judged | Answered]] = {}
        for name, model in self.forms.items():
            self.reporter.message(f"judging {name} on {', '.join(self.texts.places)}")
            predictor = Predictor(model, self.tokenizer, self.max_length, "fp32")
            task = self.texts.data.task
            judged[name] = {part: predictor.judge(place, task) for part, place in self.texts.places.items()}
            for part, one in judged[name].items() if name != TORCH else ():
                wanted = judged[TORCH][part]
                if isinstance(one, Judged) and isinstance(wanted, Judged):
                    self._note(name, wanted.logits, one.logits, part if task.label.names else None)
        return judged

    def _note(self, name: str, wanted: np.ndarray, found: np.ndarray, part: str | None = None) -> None:
        """Notes how far logits differ; of a dev part of a task of classes also how many rows have the same one."""
        difference = float(np.abs(wanted - found).max())
        agreed = {part: float((wanted.argmax(-1) == found.argmax(-1)).mean())} if part is not None else {}
        one = Compared(difference, difference / max(1.0, float(np.abs(wanted).max())), agreed)
        self._found[name] = self._found.get(name, one).joined(one)

    def _refuse_apart(self) -> None:
        one = self._found.get(ONNX)
        if one is not None and not one.relative <= BOUND:  # NaN is apart, too
            raise JobError(
                f"model.onnx: expected the model's logits, with differences of at most {BOUND:g} (of the largest logit "
                f"where that is above 1); found {one.difference:.3g}. Nothing was written: torch's exporter misreads "
                "this model; --format hub needs no exporter"
            )


def repeated(rows: list[tuple[np.ndarray, np.ndarray]], count: int, tokens: int, pad: int) -> BatchTensors:
    """A batch of the tokens of some texts, repeated up to a length; every second row ends halfway, in padding.

    Args:
        rows: token ids and segments of each text.
        count: rows of the batch.
        tokens: of its longest row.
        pad: id at padded positions.
    """
    from distill.inputs import BatchTensors

    ids, types, mask = np.full((count, tokens), pad), *np.zeros((2, count, tokens), np.int64)
    for row in range(count):
        length = tokens if row % 2 == 0 else max(1, tokens // 2)
        own_ids, own_types = rows[row % len(rows)]
        ids[row, :length], types[row, :length] = np.resize(own_ids, length), np.resize(own_types, length)
        mask[row, :length] = 1
    return BatchTensors(torch.from_numpy(ids), torch.from_numpy(types), torch.from_numpy(mask), None)


def _logits(model: Any, tensors: BatchTensors) -> np.ndarray:
    """Logits of a batch; of spans those of padding are 0."""
    from distill.outputs import model_logits

    with torch.inference_mode():
        logits = model_logits(model, tensors.inputs(model))
        return (logits if logits.ndim == 2 else logits * tensors.mask[:, :, None]).numpy()  # type: ignore[index]
