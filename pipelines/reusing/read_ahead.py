"""The input of a run that overwrites another: read beside it first, so that what is refused deletes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.augmenting.snapshot import RECORD, Snapshot
from pipelines.run_folder.address import within
from pipelines.run_folder.storage import BEGUN, Storage, move_into_place

if TYPE_CHECKING:
    from pipelines.augmenting.stages import Job

InputRows = Callable[["Job", Snapshot | None], Snapshot]  # writes the snapshot unless it is given one


def read_ahead(job: Job, input_rows: InputRows) -> InputRows:
    """Reads the input of a run while the run that it overwrites is still whole.

    Args:
        job: the run.
        input_rows: reads the input and writes the snapshot into a job's folder.

    Returns:
        What takes its place once the other run is gone: it moves the files that were written.

    Raises:
        UserError: the input is refused; the other run is as it was.
    """
    storage, aside = Storage(job.root), Storage(within(job.root, BEGUN))
    drop_begun(storage)
    try:
        snapshot = input_rows(replace(job, root=aside.root), None)
    except BaseException:
        drop_begun(storage)
        raise

    def moved(_: Job, __: Snapshot | None) -> Snapshot:
        for name in (*snapshot.bytes, RECORD):  # the record is the last: without it the input is read again
            if storage.is_local:
                move_into_place(aside.local_folder() / name, storage.local_folder() / name)
            else:
                storage.write_bytes(name, aside.read_bytes(name))
        drop_begun(storage)
        return snapshot

    return moved


def drop_begun(storage: Storage) -> None:
    """Removes an input that was read beside a run.

    Args:
        storage: the run's folder.
    """
    aside = Storage(within(storage.root, BEGUN))
    aside.remove_all()
    if aside.is_local:
        shutil.rmtree(aside.root, ignore_errors=True)
