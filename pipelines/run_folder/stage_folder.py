"""The folder of a training verb: run.json says what it is, metrics.json that it is finished (design section 4)."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from distill.stores import without_credentials
from pipelines.errors import UserError
from pipelines.run_folder.address import shown_address
from pipelines.run_folder.identity import as_json, differences, software_versions
from pipelines.run_folder.identity import task_content as task_content
from pipelines.run_folder.lock import LOCK
from pipelines.run_folder.records import FORMAT_VERSION, sha256
from pipelines.run_folder.storage import PARTIAL, Storage
from pipelines.run_folder.writable import refuse_unwritable
from pipelines.training.step_parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUN, METRICS = "run.json", "metrics.json"
COMPARED = ("kind", "settings", "task", "inputs", "models")
WHILE_TRAINING = (PARTS, "versions")


def stage_storage(out: str, what: str) -> Storage:
    """The folder of a stage, which must be local: checkpoints are renamed in it and caches memory-mapped.

    Raises:
        UserError: it is an address of an object store, or cannot be written to.
    """
    if "://" in out and not out.startswith("file://"):
        shown = shown_address(out)
        raise UserError(
            f"--out {shown}: expected a local folder for {what}, found an address; copy it there afterwards"
        )
    storage = Storage(out)
    refuse_unwritable(storage.local_folder(), "--out")
    return storage


def started_run(storage: Storage, kind: str, overwrite: bool) -> dict[str, Any] | None:
    """What run.json says of an earlier start in this folder.

    Args:
        storage: the folder.
        kind: finetune or distill.
        overwrite: delete it instead.

    Returns:
        Its content, or None for a fresh folder.

    Raises:
        UserError: the folder holds something else.
    """
    content = storage.read_json(RUN)
    ours = content is not None and content.get("kind") == kind and content.get("format_version") == FORMAT_VERSION
    others = [name for name in storage.names() if name not in (LOCK, PARTIAL)]
    if not ours and others:
        found = (
            f"a run of `tinyaug {content.get('kind', 'augment')}`" if content and "tinyaug" in content else others[0]
        )
        raise UserError(
            f"{storage.display()}: expected an empty folder or an earlier `tinyaug {kind}`, found {found}; choose "
            "another --out"
        )
    if ours and overwrite:
        storage.remove_all()
        return None
    return content


def refuse_other_run(
    storage: Storage, started: dict[str, Any], asked: dict[str, Any], finished: bool, afresh: str = "--overwrite"
) -> None:
    """Refuses to go on with other settings, data or models than the folder was begun with.

    Args:
        storage: the folder.
        started: its run.json.
        asked: what run.json would say now.
        finished: whether nothing is left to do: then software versions and parts of a step do not matter.
        afresh: the option that starts anew.

    Raises:
        UserError: naming the fields.
    """
    names = COMPARED if finished else (*COMPARED, *WHILE_TRAINING)
    there, now = ({name: content.get(name) for name in names} for content in (started, asked))
    found = differences(there, now, asked["kind"])
    if found:
        raise UserError(
            f"{storage.display()}: expected the settings it was begun with, found other {'; '.join(found)}. Use the "
            f"same settings, another --out, or {afresh}"
        )


def run_content(
    kind: str, settings: dict[str, Any], task: dict[str, Any], inputs: dict[str, Any], models: dict[str, str]
) -> dict[str, Any]:
    """What run.json says; `resolved` and `sources` are added by the verb.

    Args:
        kind: finetune or distill.
        settings: what the user set, defaults filled in.
        task: the task as plain data.
        inputs: name, bytes and sha256 of what is read.
        models: role -> fingerprint.
    """
    versions = software_versions()
    content = {
        "tinyaug": versions["tinyaug"],
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "settings": settings,
        "task": task,
        "inputs": inputs,
        "models": models,
        "versions": {**versions, "python": ".".join(map(str, sys.version_info[:3]))},
        "command": ["tinyaug", *map(without_credentials, sys.argv[1:])],
    }
    return as_json(content)


def finished_metrics(storage: Storage) -> dict[str, Any] | None:
    """The metrics of a finished folder; None while something is left to do or a file of it is damaged."""
    content = storage.read_json(METRICS)
    return content if content is not None and is_whole(storage, content.get("files")) else None


def digests(storage: Storage, names: list[str]) -> dict[str, dict[str, Any]]:
    """Name -> bytes and sha256 of files, which `is_whole` compares."""
    return {name: {"bytes": storage.size(name), "sha256": sha256(storage, name)} for name in names}


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


def publish(storage: Storage, fill: Callable[[Path], None]) -> dict[str, dict[str, Any]]:
    """Moves the files that `fill` writes into the folder, each complete or not at all.

    Args:
        storage: the folder.
        fill: is given an empty folder beside it.

    Returns:
        Name -> bytes and sha256.
    """
    root = storage.local_folder()
    partial = root / PARTIAL / "export"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fill(partial)
    names = sorted(path.name for path in partial.iterdir())
    for name in names:
        _readable(partial / name)
        with (partial / name).open("rb") as stream:
            os.fsync(stream.fileno())
        (partial / name).replace(root / name)
    shutil.rmtree(partial.parent, ignore_errors=True)
    return digests(storage, names)


def publish_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Makes a whole folder at once: it is there with all its files, or not at all."""
    partial = target.with_name(f"{target.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fill(partial)
    for path in (*partial.iterdir(), partial):
        _readable(path)
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def drop_checkpoints(folder: Path) -> None:
    """Removes what only an unfinished stage needs; losses.csv and dev.csv stay."""
    for path in [*folder.glob("step-*"), *folder.glob("best.safetensors*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _readable(path: Path) -> None:
    """Readable by whoever may read the user's other files: safetensors writes for its owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
