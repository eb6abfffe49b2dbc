"""run.json: whose folder it is, and whether a command may go on in it (design section 4)."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augment.errors import AugmentError
from distill.errors import DistillError
from distill.stores import without_credentials
from glove.errors import VectorsError
from pipelines.errors import UserError
from pipelines.run_folder.identity import as_json, differences, software_versions
from pipelines.run_folder.lock import LOCK
from pipelines.run_folder.records import FORMAT_VERSION
from pipelines.run_folder.storage import BEGUN, PARTIAL, PREVIOUS, Storage

if TYPE_CHECKING:
    from collections.abc import Iterator


RUN = "run.json"
CONFIG = "config.toml"  # beside it, of `tinyaug run`
AUGMENT = "augment"  # its run.json has no kind
COMPARED = ("kind", "settings", "task", "inputs", "models")
WHILE_UNFINISHED = ("parts", "versions")
REFUSALS = (UserError, AugmentError, DistillError, VectorsError)


def started_run(storage: Storage, kind: str, overwrite: bool = False) -> dict[str, Any] | None:
    """What run.json says of an earlier start in a folder.

    Args:
        storage: the folder.
        kind: of the run: augment, finetune, distill, distill-general, cache-teacher.
        overwrite: delete it instead.

    Returns:
        Its content, or None for a fresh folder.

    Raises:
        UserError: the folder holds something else.
    """
    content = storage.read_json(RUN) or {}
    found = content.get("kind", AUGMENT) if "tinyaug" in content else ""
    if (found, content.get("format_version")) != (kind, FORMAT_VERSION):
        if others := [name for name in storage.names() if name not in (LOCK, PARTIAL, PREVIOUS, BEGUN)]:
            raise UserError(
                f"{storage.display()}: expected an empty folder or an earlier `tinyaug {kind}`, found "
                f"{f'a run of `tinyaug {found}`' if found else ', '.join(others[:3])}; choose another --out"
            )
        return None
    if overwrite:
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
    names = COMPARED if finished else (*COMPARED, *WHILE_UNFINISHED)
    there, now = ({name: content.get(name) for name in names} for content in (started, asked))
    kind = asked.get("kind", AUGMENT)
    if found := differences(there, now, kind):
        again = "; to draw the data again with another --n, --p or --seed use `tinyaug resample`"
        if there["inputs"] != now["inputs"]:
            again = ", which keeps the candidates of texts that did not change"
        raise UserError(
            f"{storage.display()}: expected the settings it was begun with, found other {'; '.join(found)}. Use the "
            f"same settings, another --out, or {afresh}{again if kind == AUGMENT else ''}"
        )


@dataclass(frozen=True)
class InputDigest:
    """A file that is read.

    Args:
        name: without its folder.
        bytes: its size.
        sha256: of its content.
    """

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Identity:
    """All that decides what comes of a training verb, and where it came from.

    Args:
        settings: what the user set, defaults filled in.
        task: the task as plain data.
        inputs: part -> what tells its files: `InputDigest`, or what stands for them.
        models: role -> fingerprint.
        sources: names as the user gave them; a resumed run need not share them.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    task: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, list[Any]] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str | None] | None = None


def run_content(kind: str, identity: Identity, **more: Any) -> Any:
    """What run.json says before anything is resolved, as it is read back.

    Args:
        kind: of the run.
        identity: what decides what comes of it; left out of it are sources that are None.
        more: of the verb.
    """
    versions, decided = software_versions(), asdict(identity)
    sources = decided.pop("sources")
    content = {
        "tinyaug": versions["tinyaug"],
        "format_version": FORMAT_VERSION,
        "kind": kind,
        **decided,
        "versions": {**versions, "python": ".".join(map(str, sys.version_info[:3]))},
        "command": _command(),
        **more,
    }
    return as_json(content if sources is None else {**content, "sources": sources})


def _command() -> list[str]:
    """What goes on with a run: the command line, or the script that called `pipelines.run`."""
    program, *typed = sys.argv
    is_ours = Path(program).name == "tinyaug" or Path(program).parts[-2:] == ("pipelines", "__main__.py")
    return [*(["tinyaug"] if is_ours else ["python", program]), *map(without_credentials, typed)]


@contextmanager
def kept_if_refused(storage: Storage, overwrite: bool) -> Iterator[None]:
    """Empties a folder on this machine, and gives back what was in it when the user's mistake shows only now.

    Args:
        storage: the folder.
        overwrite: whether it is emptied at all.
    """
    give_back(storage)
    if overwrite:
        _move_all(storage.local_folder(), storage.local_folder() / PREVIOUS)
    try:
        yield
    except REFUSALS:
        give_back(storage)
        raise
    shutil.rmtree(storage.local_folder() / PREVIOUS, ignore_errors=True)


def give_back(storage: Storage) -> None:
    """Gives back what a command that was refused, or killed before it began, had moved out of the way.

    While run.json lies there, all else does, and what is in the folder is the new run's.

    Args:
        storage: the folder, on this machine.
    """
    kept = storage.local_folder() / PREVIOUS
    if (kept / RUN).exists():
        storage.remove_all()
        os.replace(kept / RUN, storage.local_folder() / RUN)
    if kept.exists():
        _move_all(kept, storage.local_folder())
        kept.rmdir()


def _move_all(source: Path, target: Path) -> None:
    """Moves all but the lock; run.json, by which a folder is known, is the last."""
    target.mkdir(exist_ok=True)
    names = [name for name in os.listdir(source) if name not in (LOCK, PREVIOUS)]
    for name in sorted(names, key=lambda name: name == RUN):
        os.replace(source / name, target / name)


@contextmanager
def undone_if_refused(storage: Storage, fresh: bool, finished: tuple[str, ...] = ()) -> Iterator[None]:
    """Empties a fresh directory again when the user's mistake shows only now: put right, the directory serves again.

    Args:
        storage: the directory.
        fresh: whether nothing was in it before.
        finished: folders of finished work; while one of them holds something, nothing is undone.
    """
    try:
        yield
    except REFUSALS:
        if fresh and not any(storage.names(folder) for folder in finished):
            storage.remove_all()
        raise
