"""A share of the train rows as dev part, where the data has none of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from pipelines.errors import UserError
from pipelines.tasks.features import is_augmented
from pipelines.tasks.split import Picked
from pipelines.tasks.task import DEV, listed, pass_over
from pipelines.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipelines.tasks.split import OpenTask, Split


def split_off(opened: OpenTask, share: float) -> OpenTask:
    """The same task with about a share of the train rows of each class as its dev part.

    The choice depends on the texts alone: every verb and seed makes the same one, in whatever order the rows come.
    Equal texts stay together.

    Args:
        opened: The task.
        share: Of the rows, above 0 and below 1.

    Raises:
        UserError: If there is a dev part, no label, rows that we augmented, or a class has too few rows for both parts.
    """
    option, label = f"--dev-split {share:g}", opened.task.label
    if DEV in opened.parts:
        found = listed(file.name for file in opened.split(DEV).files)
        raise UserError(f"{option}: expected data without a dev part, found {found}. Leave out one of them.")
    if label.column is None:
        raise UserError(f"{option}: expected a task with labels, found none. Name their column with --label.")
    train = opened.split("train")
    if any(is_augmented(source.schema) for source in train.sources):  # variants of one text would be in both parts
        raise UserError(
            f"{option}: expected original rows, found {opened.place} with rows of a `tinyaug augment`. Give the file "
            "that they were made of as --data (finetune and distill take these as --train), or leave the option out."
        )
    numbers, classes, digests = _read(replace(train, on_bad=pass_over, _counted={}))
    chosen = np.concatenate([_some(digests[classes == one], share) for one in np.unique(classes)])
    inside = np.isin(digests, chosen)
    for one in np.unique(classes):
        rows, dev = (int(np.sum(some)) for some in (classes == one, inside[classes == one]))
        if dev in (0, rows):
            name = f" of the class {label.names[one]}" if label.names else ""
            texts, places = len(np.unique(digests[classes == one])), len(str(rows)) + 1
            bounds = f", from {1 / rows:.{places}f} to {1 - 1 / rows:.{places}f} for so many rows" if texts > 1 else ""
            raise UserError(
                f"{option}: expected a share that leaves rows{name} to both parts{bounds}, found {rows:,} with "
                f"{counted(texts, 'different text')}, {dev:,} of them for dev. Give another share, add rows, or a dev "
                "file."
            )
    held = partial(Picked, numbers[inside], digests=np.unique(digests[inside]))
    parts = {name: partial(_picked, train, name, held(inside=name == DEV)) for name in ("train", DEV)}
    return replace(opened, parts={**opened.parts, **parts}, _opened={})


def _picked(train: Split, name: str, picked: Picked) -> Split:
    return replace(train, name=name, picked=picked, _counted={})


def _read(train: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The numbers of all good rows, their classes (0 for all scores) and digests of their texts: (R,) each."""
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for batch in train.batches():
        texts = zip(*(batch.column(name).to_pylist() for name in train.task.text_columns), strict=True)
        numbers, labels = np.asarray(batch.column("source_idx")), np.asarray(batch.column(train.task.label.column))
        found.append((numbers, labels if train.task.label.names else np.zeros_like(numbers), text_digests(texts)))
    numbers, classes, digests = map(np.concatenate, zip(*found, strict=True))
    return numbers, classes, digests


def text_digests(rows: Iterable[tuple[str, ...]]) -> np.ndarray:
    """Digests of the texts of rows (uint64), by which the dev part is chosen and known again."""
    return np.frombuffer(b"".join(map(_digest, rows)), np.uint64)


def _digest(texts: tuple[str, ...]) -> bytes:
    return blake2b("\0".join(texts).encode(), digest_size=8, person=b"dev-split").digest()


def _some(digests: np.ndarray, share: float) -> np.ndarray:
    """Digests in their order until a share of the rows has one of them; those of too many rows are passed over."""
    left, taken = int(share * len(digests) + 0.5), []
    for digest, rows in zip(*np.unique(digests, return_counts=True), strict=True):
        if rows <= left:
            taken.append(digest)
            left -= int(rows)
    return np.array(taken, np.uint64)
