"""`--target-ms` and `--target-mb`: the largest student that is fast and small enough, by a short measurement here.

Shapes have at most half the teacher's layers and less than its width. Time is that of one text of the data's median
length, on the CPU, in students with drawn weights; size is that of the weights in float32, with the whole vocabulary.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipelines.distilling.checks import naming
from pipelines.distilling.shards import shards_of
from pipelines.errors import UserError
from pipelines.run_folder.run_file import RUN
from pipelines.run_folder.stage_folder import stage_storage
from pipelines.tasks import pass_over
from pipelines.training.parts import open_stream, row_columns
from pipelines.training.ranks import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedConfig

    from pipelines.distilling.checks import TeacherFiles
    from pipelines.options.models import Size
    from pipelines.training.parts import TaskData
    from pipelines.training.request import DistillRequest

LAYERS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
WIDTHS = (1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4)  # of the teacher's
ROWS = 1_000  # whose lengths are looked at
SHOWN = 6
WORDS = 1_000  # embeddings of a student that is timed: one text reads a few of them, however many there are


@dataclass(frozen=True)
class SizedStudent:
    """A student of some shape.

    Args:
        shape: layers x width.
        parameters: all of them.
        inside: those that are not embeddings.
        ms: milliseconds a text.
    """

    shape: str
    parameters: int
    inside: int
    ms: float

    @property
    def mb(self) -> float:
        """Megabytes of its weights."""
        return 4 * self.parameters / 1e6

    def __str__(self) -> str:
        parameters = f"{self.parameters / 1e6:6.1f} M parameters, {self.inside / 1e6:.2f} M beside embeddings"
        return f"{self.shape:>7}  {parameters}  {self.mb:7.1f} MB  {self.ms:6.2f} ms"


@dataclass(frozen=True)
class Chosen:
    """The shape that was taken.

    Args:
        shape: as `--student` has it.
        lines: what there is to say of it; none where it was taken before.
    """

    shape: str
    lines: tuple[str, ...]


def choose_shape(request: DistillRequest, teacher: TeacherFiles, data: TaskData) -> Chosen:
    """The shape that an earlier start of the same folder took, else the largest that meets the targets.

    Args:
        request: what the user asked for.
        teacher: files of the teacher, or of the encoder that it will be made from.
        data: the task.

    Raises:
        UserError, DistillError: no shape meets them, or the teacher's family has no students of other widths.
    """
    begun = None if request.overwrite else stage_storage(request.out, "a model").read_json(RUN)
    if begun is not None and "size" in begun.get("settings", {}):
        return Chosen(str(begun["sources"]["student"]), ())
    if processes() > 1:
        raise UserError("expected one process for --target-ms and --target-mb, found more; give --student")
    length = median_length(request, teacher, data)
    fitting = sorted(_fitting(request.size, teacher.config, length), key=_rank, reverse=True)
    best = fitting[0]
    title = (
        f"students within {request.size.shown}{_counted(request.size)}, a text of {length} tokens (the median) on this "
        "CPU; most parameters beside embeddings first, one layer last:"
    )
    return Chosen(best.shape, (title, *map(str, fitting[:SHOWN]), f"taken: --student {best.shape}"))


def _rank(student: SizedStudent) -> tuple[bool, int]:
    """Most parameters in its layers; of one layer only where nothing else will do, for that sees words, no phrases."""
    return not student.shape.startswith("1x"), student.inside


def median_length(request: DistillRequest, teacher: TeacherFiles, data: TaskData) -> int:
    """Tokens of the median text among the first rows of the train part, or of a sample of the shards."""
    from distill.lengths import whole_lengths
    from distill.tokens import encoded, tokenizer_json, truncating

    tokenizer, most = teacher.tokenizer, request.reading.max_length
    if data.opened is None:
        stream = open_stream(shards_of(request.train or ""), row_columns(data.task), tokenizer, most, 1)
        return int(np.median(np.minimum(whole_lengths(stream), most)))
    import pyarrow as pa

    split = replace(data.opened.split("train"), on_bad=pass_over)
    table = pa.Table.from_batches(list(split.batches(limit=ROWS)))
    _, _, offsets = encoded(table, data.task.text_columns, truncating(tokenizer_json(tokenizer), most))
    return int(np.median(np.diff(offsets)))


def _fitting(size: Size, teacher: PreTrainedConfig, length: int) -> Iterator[SizedStudent]:
    """The shapes that meet the targets.

    Raises:
        UserError: not even the smallest does.
    """
    unit = teacher.num_attention_heads * (2 if getattr(teacher, "rope_parameters", None) else 1)
    widths = sorted({max(1, round(share * teacher.hidden_size / unit)) * unit for share in WIDTHS})
    depths = [layers for layers in LAYERS if layers <= max(1, teacher.num_hidden_layers // 2)]
    for width in widths:
        for layers in depths:
            smallest = (width, layers) == (widths[0], depths[0])
            found = _measured(f"{layers}x{width}", teacher, length, size.mb if not smallest else None)
            if found is None or not size.allows(found.ms, found.mb):  # more layers are no smaller, and no faster
                if smallest and found is not None:
                    _refuse(size, found, length)
                break
            yield found


def _measured(shape: str, teacher: PreTrainedConfig, length: int, mb: float | None) -> SizedStudent | None:
    """Sizes and time of a student; None for one of more megabytes."""
    import torch

    from distill.latency import parameter_counts, time_text
    from distill.shapes import student_config
    from distill.weights import head_class, random_model

    with naming("--target-ms and --target-mb"):
        config = student_config(shape, teacher)
    head = head_class(masked_lm=False, spans=False)
    with torch.device("meta"):
        parameters, inside = parameter_counts(head.from_config(deepcopy(config)))
    if mb is not None and 4 * parameters / 1e6 > mb:
        return None
    config.vocab_size, config.pad_token_id = WORDS, 0
    return SizedStudent(shape, parameters, inside, time_text(random_model(config, 0, head).eval(), length))


def _counted(size: Size) -> str:
    """Which megabytes are meant where trimming leaves fewer; how many shows when all rows were read."""
    return " (whole vocabulary, before it is trimmed)" if size.mb and size.share is not None else ""


def _refuse(size: Size, least: SizedStudent, length: int) -> None:
    needed = {"ms": f"{least.ms:.3g} ms", "mb": f"{least.mb:.3g} MB{_counted(size)}"}
    asked = " and ".join(f"--target-{name} {value:g}" for name, value in size.targets.items())
    raise UserError(
        f"{asked}: expected at least {' and '.join(needed[name] for name in size.targets)}, as the smallest student "
        f"that was measured has ({least.shape}, {least.parameters:,} parameters, for a text of {length} tokens on this "
        "CPU); raise it, or name a smaller --student"
    )
