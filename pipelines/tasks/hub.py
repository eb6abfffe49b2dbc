"""GLUE from the Hugging Face hub or its local cache; `datasets` is imported only here, and only when used."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from augment.hub import ask_in_time, explain
from pipelines.errors import UserError
from pipelines.tasks.hub_cache import VERSION, cached_commit, cached_commits, commit_of
from pipelines.tasks.labels import LabelReader
from pipelines.tasks.readers.columnar import plain_type, task_batch
from pipelines.tasks.readers.source import Column, Plan, Request, Role
from pipelines.tasks.split import OpenTask, Split
from pipelines.tasks.task import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pipelines.tasks.task import BadRow, Task

REPOSITORY = "nyu-mll/glue"
PROBE_SECONDS = 3.5  # for the hub's first answer, name look-up included
_DIGEST_ROWS = 1024
_REMEDY = "Pass --data FOLDER with the task's files (docs/tasks.md)"


@dataclass(frozen=True)
class HubSource:
    """One part of a `datasets` dataset, memory-mapped.

    Attributes:
        name: Repository, configuration and part.
        data: The `datasets.Dataset`.
    """

    name: str
    data: Any

    @property
    def place(self) -> str:
        """Its name; the hub has no paths."""
        return self.name

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        return pa.schema([(field.name, plain_type(field.type)) for field in self.data.features.arrow_schema])

    @property
    def rows(self) -> int | None:
        """Its rows."""
        return len(self.data)

    def values(self, column: str) -> Iterator[object]:
        """The values of one column."""
        for batch in self._batches(_DIGEST_ROWS, len(self.data)):
            yield from batch.column(column).to_pylist()

    def read(self, request: Request) -> Generator[pa.RecordBatch, None, int]:
        """Yields batches of the good rows and reports the bad; returns the number of both."""
        stop = len(self.data) if request.limit is None else min(request.limit, len(self.data))
        done = 0
        for batch in self._batches(request.rows, stop):
            result = task_batch(batch, request.start + done, self.place, request)
            done += batch.num_rows
            if result.num_rows:
                yield result
        return done

    def digest(self) -> tuple[int, str]:
        """Size and sha256 of the rows as JSON lines: cached files differ between versions of `datasets`."""
        digest, size = hashlib.sha256(), 0
        for batch in self._batches(_DIGEST_ROWS, len(self.data)):
            for row in batch.to_pylist():
                line = json.dumps(row, sort_keys=True, separators=(",", ":")).encode() + b"\n"
                digest.update(line)
                size += len(line)
        return size, digest.hexdigest()

    def _batches(self, rows: int, stop: int) -> Iterator[pa.RecordBatch]:
        arrow = self.data.with_format("arrow")
        for start in range(0, stop, rows):
            table = arrow[start : min(start + rows, stop)].combine_chunks()
            yield from table.to_batches(max_chunksize=rows)


def open_hub(task: Task, revision: str | None, on_bad: Callable[[BadRow], None]) -> OpenTask:
    """A GLUE task from the hub, or from the local cache when HF_HUB_OFFLINE is set or the hub is out of reach.

    The task's revision is the commit that was read.

    Raises:
        UserError: If `datasets` is missing, the hub cannot be reached or does not have it.
    """
    loaded = _load(task.name, revision)
    parts = {part: partial(_open_part, task, part, loaded[part], on_bad) for part in task.splits if part in loaded}
    commit = next((commit_of(part) for part in loaded.values()), None) or revision
    return OpenTask(task, parts, lambda part: f"a part {part!r}", f"{REPOSITORY}/{task.name}", commit)


def _open_part(task: Task, part: str, data: Any, on_bad: Callable[[BadRow], None]) -> Split:
    source = HubSource(f"{REPOSITORY}/{task.name}/{part}", data)
    label = task.label.column or "label"
    kind = pa.int64() if task.label.kind == "class" else pa.float32()
    columns = [Column(name, pa.string(), Role.TEXT, name) for name in task.text_columns]
    columns += [Column(label, kind, Role.LABEL, label), Column("idx", pa.int32(), Role.KEPT, "idx")]
    missing = [column.name for column in columns if column.name not in source.schema.names]
    if missing:
        found = listed(source.schema.names)
        raise UserError(f"{source.place}: expected columns {listed(missing)}, found {found}. {_REMEDY}.")
    stored = tuple(getattr(data.features[label], "names", ()))
    plan = Plan(tuple(columns), LabelReader(task.label, part.startswith("test"), stored))
    return Split(part, task, (source,), plan, on_bad)


def _load(config: str, revision: str | None) -> Any:
    if importlib.util.find_spec("datasets") is None:
        raise UserError(f"expected the package `datasets`, found none. Install it, or: {_REMEDY}.")
    trouble = _trouble(revision)  # before `datasets` is imported, which takes a second
    asked = f"{REPOSITORY} ({config}{f', revision {revision}' if revision else ''})"
    stored = cached_commit(REPOSITORY, config, revision) if trouble is not None else None
    if trouble is not None and stored is None:
        have = ", ".join(folder.name[:12] for folder in cached_commits(REPOSITORY, config)) or "nothing of it"
        raise UserError(
            f"expected {asked} from the hub or its cache, found: {explain(trouble, asked=True)}; the local cache has "
            f"{have}. {_REMEDY}, or give the command a network once."
        ) from trouble
    import datasets

    datasets.logging.set_verbosity_error()  # it tells of every use of its cache
    try:
        return (
            datasets.load_dataset(REPOSITORY, config, revision=revision) if stored is None else _stored(config, stored)
        )
    except Exception as error:  # the library and the hub's client raise many kinds, some from a broken download
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise UserError(f"expected {asked} from the hub or its cache, found: {explain(cause)}. {_REMEDY}.") from error


def _stored(config: str, commit: str) -> Any:
    """What the library stored earlier; of several commits it would take the one that it used last."""
    from datasets.packaged_modules.cache.cache import Cache

    name = REPOSITORY.split("/")[1]
    return Cache(repo_id=REPOSITORY, dataset_name=name, config_name=config, version=VERSION, hash=commit).as_dataset()


def _trouble(revision: str | None) -> Exception | None:
    """Why the hub cannot be asked, within seconds: the library's own retries take half a minute."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    told = os.environ.get("HF_DATASETS_OFFLINE")
    if constants.HF_HUB_OFFLINE if told is None else told.upper() in constants.ENV_VARS_TRUE_VALUES:
        return OfflineModeIsEnabled("offline mode is enabled")
    try:
        ask_in_time(lambda: HfApi().dataset_info(REPOSITORY, revision=revision, timeout=PROBE_SECONDS), PROBE_SECONDS)
    except HfHubHTTPError:  # the hub did answer: what it has against the request is told when it is loaded
        return None
    except Exception as error:  # the client raises many kinds
        return error
    return None
