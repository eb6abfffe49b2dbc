"""Helpers: write small files, read them back as Python rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.tasks import BadRow, CustomOptions, Split, open_task

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def rows_of(split: Split, **kwargs: int | None) -> list[dict[str, Any]]:
    return [row for batch in split.batches(**kwargs) for row in batch.to_pylist()]


def custom_rows(
    data: Path, *text: str, label: str | None = None, part: str = "train", **options: Any
) -> tuple[list[dict[str, Any]], list[BadRow]]:
    """Good rows and bad rows of a custom task."""
    bad: list[BadRow] = []
    task = open_task("custom", data, CustomOptions(text, label, **options), on_bad=bad.append)
    return rows_of(task.split(part)), bad


def glue_rows(name: str, data: Path, part: str = "train") -> tuple[list[dict[str, Any]], list[BadRow]]:
    """Good rows and bad rows of a GLUE task."""
    bad: list[BadRow] = []
    return rows_of(open_task(name, data, on_bad=bad.append).split(part)), bad
