"""The folder of a training verb: run.json says what it is, metrics.json that it is finished (design section 4)."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, TypedDict

from pipelines.errors import UserError
from pipelines.run_folder.address import is_store, shown_address
from pipelines.run_folder.records import sha256
from pipelines.run_folder.storage import PARTIAL, Storage, move_into_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

BASELINES, UNAUGMENTED, FINETUNED = "baselines", "unaugmented", "finetuned"  # of a run, and the folders in it
METRICS = "metrics.json"
TOKENS = "tokens"  # folder of tokenised rows, while a job trains


class Digest(TypedDict):
    """What tells the content of a file, as JSON files have it."""

    bytes: int
    sha256: str


def stage_storage(out: str, what: str) -> Storage:
    """The folder of a stage, which must be local: checkpoints are renamed in it and caches memory-mapped.

    Raises:
        UserError: it is an address of an object store, or cannot be written to.
    """
    if is_store(out):
        shown = shown_address(out)
        raise UserError(
            f"--out {shown}: expected a local folder for {what}, found an address; copy it there afterwards"
        )
    storage = Storage(out)
    refuse_unwritable(storage.local_folder(), "--out")
    return storage


def finished_metrics(storage: Storage) -> dict[str, Any] | None:
    """The metrics of a finished folder; None while something is left to do or a file of it is damaged."""
    content = storage.read_json(METRICS)
    return content if content is not None and is_whole(storage, content.get("files")) else None


def digests(storage: Storage, names: list[str]) -> dict[str, Digest]:
    """Name -> bytes and sha256 of files, which `is_whole` compares."""
    return {name: Digest(bytes=storage.size(name) or 0, sha256=sha256(storage, name)) for name in names}


def is_whole(storage: Storage, files: Any) -> bool:
    """Whether files are those whose digests were written down.

    Args:
        storage: the folder.
        files: what `digests` gave, as it is read back; anything else is not whole.
    """
    return isinstance(files, dict) and all(
        storage.size(name) == recorded["bytes"] and sha256(storage, name) == recorded["sha256"]
        for name, recorded in files.items()
    )


def publish(storage: Storage, fill: Callable[[Path], None]) -> dict[str, Digest]:
    """Moves the files that `fill` writes into the folder, each complete or not at all.

    Args:
        storage: the folder.
        fill: is given an empty folder beside it.

    Returns:
        Name -> bytes and sha256.
    """
    root = storage.local_folder()
    partial = _filled(root / PARTIAL / "export", fill)
    names = sorted(path.name for path in partial.iterdir())
    for name in names:
        move_into_place(partial / name, root / name)
    shutil.rmtree(partial.parent, ignore_errors=True)
    return digests(storage, names)


def publish_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Makes a whole folder at once: it is there with all its files, or not at all."""
    partial = _filled(target.with_name(f"{target.name}.tmp"), fill)
    for path in partial.iterdir():
        move_into_place(path, path)
    move_into_place(partial, target)


def _filled(partial: Path, fill: Callable[[Path], None]) -> Path:
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fill(partial)
    return partial


def drop_working_files(root: Path, stages: Iterable[str]) -> None:
    """Removes what only an unfinished job needs.

    Args:
        root: its folder.
        stages: folders of its stages.
    """
    for stage in stages:
        drop_checkpoints(root / stage)
    shutil.rmtree(root / TOKENS, ignore_errors=True)


def drop_checkpoints(folder: Path) -> None:
    """Removes what only an unfinished stage needs; losses.csv and dev.csv stay."""
    for path in [*folder.glob("step-*"), *folder.glob("best.safetensors*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def refuse_unwritable(folder: Path, option: str) -> None:
    """Refuses a folder that may not be written to, or that cannot be made.

    Args:
        folder: need not exist yet.
        option: that names it, for the message.

    Raises:
        UserError: naming what stands in the way.
    """
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    if not place.is_dir():
        found = "a file" if place == folder.absolute() else f"the file {place} above it"
    elif not os.access(place, os.W_OK | os.X_OK):
        found = f"that {place} cannot be"
    else:
        return
    raise UserError(
        f"{option} {folder}: expected a directory that can be written to, found {found}; choose another one"
    )
