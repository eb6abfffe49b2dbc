"""Logits or probabilities made elsewhere, in a column of the rows, in place of a teacher's outputs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from distill.errors import DistillError
from distill.stores import reading
from distill.teacher import Precision, Teacher, TeacherTargets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from distill.reading import ShardFiles
    from distill.shards import Batch
    from distill.teacher import Wanted

LEAST = 1e-6  # probabilities below it count as it: the logarithm of 0 is no logit
SUM_ERROR = 1e-3  # of probabilities that were rounded


@dataclass(frozen=True)
class SoftLabels:
    """The logits of all rows.

    Attributes:
        logits: for each shard (rows, C), float32.
        probable: whether the column has probabilities, whose logarithms the logits are.
        column: that they come from.
    """

    logits: tuple[NDArray[np.float32], ...]
    probable: bool
    column: str

    @property
    def fingerprint(self) -> str:
        """Digest of all numbers."""
        digest = hashlib.sha256(f"{self.column} {self.probable}".encode())
        for part in self.logits:
            digest.update(part.tobytes())
        return digest.hexdigest()


def read_soft_labels(files: ShardFiles, column: str, classes: Sequence[str]) -> SoftLabels:
    """Reads a column of soft labels into memory, 4 bytes a class and row, and checks every row.

    They count as probabilities where at least half of the rows are, with numbers of 0 to 1 whose sum is 1, or where no
    number of any row is below 0 or above 1, as hardly any logits are. All rows must be, then.

    Args:
        files: the shards.
        column: lists of C numbers in the order of the classes, or structs with a number for each class by its name;
            for a score plain numbers will do.
        classes: names of the classes; empty for a score, which has one output.

    Raises:
        DistillError: no such column, another type or number of classes, null, NaN or infinity, probabilities that do
            not sum to 1; the message names file and row.
    """
    parts = [_read_shard(files, shard, column, classes) for shard in range(len(files.paths))]
    if not classes:
        return SoftLabels(tuple(parts), False, column)
    even = [_is_distribution(part) for part in parts]
    all_inside = all(bool(_inside(part).all()) for part in parts)
    if 2 * sum(int(one.sum()) for one in even) < files.rows and not all_inside:
        return SoftLabels(tuple(parts), False, column)
    for path, part, fits in zip(files.paths, parts, even, strict=True):
        if not fits.all():
            row = int(np.argmin(fits))
            raise DistillError(
                f"expected probabilities in column {column}, as {'all' if all_inside else 'most'} rows look like them: "
                f"0 to 1, with the sum 1; found {shown(part[row])} with the sum {part[row].sum():.4g} in {path}, row "
                f"{row}. Correct it, or write logits into all rows."
            )
    return SoftLabels(tuple(np.log(np.maximum(part, LEAST)) for part in parts), True, column)


def shown(values: NDArray[np.floating]) -> str:
    """A few numbers of a row."""
    few = ", ".join(f"{value:.4g}" for value in values[:8])
    return f"[{few}{', …' if len(values) > 8 else ''}]"


def _is_distribution(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(_inside(values) & (np.abs(values.sum(-1, dtype=np.float64) - 1) <= SUM_ERROR))


def _inside(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Rows whose numbers are of 0 to 1."""
    return np.asarray(((values >= 0) & (values <= 1)).all(-1))


def _read_shard(files: ShardFiles, shard: int, column: str, classes: Sequence[str]) -> NDArray[np.float32]:
    path = files.paths[shard]
    with reading(f"column {column} of {path}"), pq.ParquetFile(path, filesystem=files.filesystem) as file:
        names = file.schema_arrow.names
        if column not in names:
            raise DistillError(
                f"expected soft labels in column {column} of {path}; found {', '.join(names)}. Name one."
            )
        values = file.read(columns=[column]).column(0).combine_chunks()
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if values.null_count:
        row = values.is_null().to_pylist().index(True)
        raise DistillError(f"expected soft labels in column {column}; found none in {path}, row {row}. Fill it.")
    found = _matrix(values, column, path, classes)
    finite = np.isfinite(found).all(-1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise DistillError(
            f"expected finite numbers in column {column}; found {shown(found[row])} in {path}, row {row}. Correct it."
        )
    return found


def _matrix(values: Any, column: str, path: str, classes: Sequence[str]) -> NDArray[np.float32]:
    """The numbers (rows, C) of a column without nulls."""
    kind, count = values.type, max(1, len(classes))
    if pa.types.is_struct(kind):
        return _by_name(values, column, path, classes)
    if not classes and _is_number(kind):
        return _numbers(values)[:, None]
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not _is_number(kind.value_type):
        raise DistillError(
            f"expected lists of {count} numbers in column {column} of {path}, or structs of them by class; found "
            f"{kind}. Name a column of logits or probabilities."
        )
    lengths = np.asarray(values.value_lengths().to_numpy(zero_copy_only=False))
    if (lengths != count).any():
        row = int(np.argmax(lengths != count))
        of = f", one for each of {', '.join(classes)}" if classes else ""
        raise DistillError(
            f"expected {count} numbers in column {column}{of}; found {lengths[row]} in {path}, row {row}. Give the "
            "soft labels of this task."
        )
    return _numbers(values.flatten()).reshape(-1, count)


def _by_name(values: Any, column: str, path: str, classes: Sequence[str]) -> NDArray[np.float32]:
    fields = {values.type.field(number).name.lower(): number for number in range(values.type.num_fields)}
    if set(fields) != {name.lower() for name in classes} or len(fields) != len(classes):
        raise DistillError(
            f"expected a number for each of {', '.join(classes)} in column {column} of {path}; found "
            f"{', '.join(values.type.field(number).name for number in fields.values())}. Name the task's classes."
        )
    return np.stack([_numbers(values.field(fields[name.lower()])) for name in classes], 1)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _numbers(values: Any) -> NDArray[np.float32]:
    """Values as float32; a null inside a list becomes NaN, which is refused with its row."""
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64).astype(np.float32)


class SoftTeacher(Teacher):
    """Gives each row the logits that stand beside it; the model behind it is never run.

    Args:
        model: an encoder with as many outputs, whose configuration and device count.
        labels: of the rows of the stream that batches come from.
    """

    def __init__(self, model: PreTrainedModel, labels: SoftLabels) -> None:
        super().__init__(model, precision=Precision.FP32)
        self.labels = labels
        self._fingerprint = labels.fingerprint

    def targets(self, batch: Batch, wanted: Wanted) -> TeacherTargets:  # noqa: ARG002 - there are logits alone
        """The logits of a batch (B, C)."""
        rows = [self.labels.logits[shard][row] for shard, row in zip(batch.shard, batch.row, strict=True)]
        return TeacherTargets(logits=torch.from_numpy(np.stack(rows)).to(self.model.device, non_blocking=True))

    def targets_of_group(self, batches: Sequence[Batch], wanted: Wanted) -> list[TeacherTargets]:
        """One result a batch."""
        return [self.targets(batch, wanted) for batch in batches]
