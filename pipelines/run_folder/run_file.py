"""run.json: what a run directory is, and whether a command may go on in it (design section 4)."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from augment.errors import AugmentError
from distill.errors import DistillError
from glove.errors import VectorsError
from pipelines.augmenting.settings import Identity, identity_from
from pipelines.errors import UserError
from pipelines.run_folder.identity import differences
from pipelines.run_folder.lock import LOCK, refuse_if_held
from pipelines.run_folder.records import FORMAT_VERSION
from pipelines.run_folder.storage import PARTIAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.run_folder.storage import Storage

RUN = "run.json"


@dataclass(frozen=True)
class RunFile:
    """What run.json says.

    Args:
        identity: settings and what they apply to.
        sources: names of masked LM, vectors and data as the user gave them, to replay the run.
        candidates_hash: hash of what the candidates were made with.
        resampled_from: the run whose candidates were drawn from; None for a run of its own.
    """

    identity: Identity
    sources: dict[str, Any]
    candidates_hash: str
    resampled_from: str | None = None


def read_run(storage: Storage) -> RunFile | None:
    """The run of a directory that a command shall write into.

    Args:
        storage: the directory.

    Returns:
        The run, or None where nothing has been started.

    Raises:
        UserError: the directory holds something else, or a run of another format.
    """
    content = storage.read_json(RUN)
    if content is None:
        others = [name for name in storage.names() if name not in (LOCK, PARTIAL)]
        if others:
            raise UserError(
                f"{storage.display()}: expected an empty directory or a run of tinyaug, found {', '.join(others[:3])}"
                f"{' …' if len(others) > 3 else ''} and no readable run.json; choose another --out"
            )
        return None
    return _run_of(storage, content, "choose another --out")


def existing_run(storage: Storage, option: str = "") -> RunFile:
    """The run of a directory that a command shall only read.

    Args:
        storage: the directory.
        option: that names it, with a space behind; empty where it is the command's argument.

    Raises:
        UserError: there is none, or one of another format.
    """
    content = storage.read_json(RUN)
    if content is None:
        raise UserError(
            f"{option}{storage.display()}: expected the run directory of a `tinyaug augment` or `tinyaug run`, found "
            "no run.json there; check the path"
        )
    return _run_of(storage, content, "name another run directory")


def _run_of(storage: Storage, content: dict[str, Any], remedy: str) -> RunFile:
    if "tinyaug" not in content or content.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{storage.display(RUN)}: expected a run of tinyaug, format version {FORMAT_VERSION}, found "
            f"{content.get('format_version', 'something else')!r}; {remedy}"
        )
    if "identity" not in content:
        raise UserError(
            f"{storage.display(RUN)}: expected a run of `tinyaug augment`, found one of `tinyaug "
            f"{content.get('kind', 'something else')}`; {remedy}"
        )
    identity = identity_from(content["identity"])
    return RunFile(identity, content["sources"], content["candidates_hash"], content.get("resampled_from"))


def begin(storage: Storage, overwrite: bool, say: Callable[[str], None]) -> RunFile | None:
    """What a command finds where it shall write; refuses before anything is loaded what cannot be written to.

    Args:
        storage: the directory.
        overwrite: whether what is there shall be deleted; that is left to the caller, once it holds the lock.
        say: is told if another job's lease has to lapse first.

    Returns:
        The run that is to be gone on with, or None to start one.

    Raises:
        UserError: the directory holds something else, another job works in it, or it cannot be written to.
    """
    if overwrite:
        refuse_to_overwrite_others(storage)
    started = None if overwrite else read_run(storage)
    refuse_if_held(storage, say)
    storage.check_writable()
    return started


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
    except (UserError, AugmentError, DistillError, VectorsError):
        if fresh and not any(storage.names(folder) for folder in finished):
            storage.remove_all()
        raise


def write_run(storage: Storage, run: RunFile) -> None:
    """Writes run.json, the first file of a run."""
    storage.write_json(
        RUN,
        {
            "tinyaug": run.identity.versions["tinyaug"],
            "format_version": FORMAT_VERSION,
            "identity": run.identity.fields(),
            "candidates_hash": run.candidates_hash,
            "sources": run.sources,
            "resampled_from": run.resampled_from,
        },
    )


def refuse_other_settings(storage: Storage, old: Identity, new: Identity, unfinished: bool) -> None:
    """Refuses to go on with other settings than the run was started with.

    Args:
        storage: the run directory.
        old: as recorded.
        new: as asked for.
        unfinished: whether shards are left to make: only then do software versions matter.

    Raises:
        UserError: naming the fields that differ.
    """
    before, now = old.fields(), new.fields()
    if not unfinished:
        before = {name: value for name, value in before.items() if name != "versions"}
        now = {name: value for name, value in now.items() if name != "versions"}
    found = differences(before, now, "augment")
    if found:
        raise UserError(
            f"{storage.display()}: expected the settings this run was started with, found other "
            f"{'; '.join(found)}. Use the same settings, another --out, or --overwrite; to draw the data "
            "alone again with another --n, --p or --seed use `tinyaug resample`"
        )


def refuse_to_overwrite_others(storage: Storage) -> None:
    """Refuses `--overwrite` of a directory that is not ours, before so much as a lock is written into it.

    Raises:
        UserError: it holds something else.
    """
    if "tinyaug" in (storage.read_json(RUN) or {}):
        return
    if [name for name in storage.names() if name not in (LOCK, PARTIAL)]:
        raise UserError(
            f"--overwrite {storage.display()}: expected a run of tinyaug, found something else; it is not deleted"
        )
