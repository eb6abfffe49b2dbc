"""Which earlier run's candidates a run takes: one that was named, or what --overwrite finds in the run's own folder."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from distill.stores import without_credentials
from pipelines.augmenting.run_file import RunFile, existing_run, read_run
from pipelines.augmenting.snapshot import read_snapshot
from pipelines.augmenting.stages import CANDIDATES
from pipelines.errors import UserError
from pipelines.run_folder.address import within
from pipelines.run_folder.identity import differences
from pipelines.run_folder.run_file import AUGMENT, RUN
from pipelines.run_folder.storage import PREVIOUS, Storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.augmenting.request import AugmentRequest
    from pipelines.augmenting.settings import Identity

NONE = "none"  # for --reuse
SET_ASIDE = (CANDIDATES, "neighbours", "input")


def chosen_run(request: AugmentRequest, identity: Callable[[], Identity], say: Callable[[str], None]) -> str | None:
    """The run whose candidates a run takes, with what is to be known of it said; writes nothing.

    Args:
        request: what the user asked for.
        identity: of the run, which takes seconds to find out; asked for where there is something to compare it with.
        say: is told which candidates are reused, and why others are not.

    Returns:
        Its folder; None where there is none.

    Raises:
        UserError: the run that was named cannot be used.
    """
    storage = Storage(request.out)
    started = None if request.overwrite else read_run(storage)
    if started is not None:
        return _as_begun(request, storage, started)
    if request.reuse == NONE:
        return None
    named = Storage(request.reuse).root if request.reuse is not None else storage.root
    if named == storage.root:
        return _own_run(request, storage, identity, say)
    if without_credentials(named) != named:
        raise UserError(
            f"--reuse {without_credentials(named)}: expected an address without credentials, which run.json would "
            "keep, found some; give them by the environment"
        )
    earlier = existing_run(Storage(named), "--reuse ")
    if why := _unusable(Storage(named)) or _other(earlier, identity()):
        raise _refused(request, why)
    say(f"reusing candidates of {Storage(named).display()}")
    return named


def set_aside(request: AugmentRequest, identity: Callable[[], Identity], say: Callable[[str], None]) -> str | None:
    """Chooses a run, and before this one begins keeps the candidates that it takes out of its own folder.

    Args:
        request: what the user asked for; its folder is locked.
        identity: as for `chosen_run`.
        say: likewise.

    Returns:
        What run.json is to name: PREVIOUS for what was kept.

    Raises:
        UserError: as for `chosen_run`.
    """
    storage = Storage(request.out)
    _undo_half(storage)
    chosen = chosen_run(request, identity, say)
    if not storage.is_local or not (request.overwrite or read_run(storage) is None):
        return chosen
    kept = previous_of(storage)
    if chosen == kept.root:
        return PREVIOUS
    drop_previous(storage)
    if chosen != storage.root:
        return chosen
    kept.write_json(RUN, storage.read_json(RUN) or {})
    for name in SET_ASIDE:
        if (storage.local_folder() / name).is_dir():
            os.replace(storage.local_folder() / name, kept.local_folder() / name)
    return PREVIOUS


def _undo_half(storage: Storage) -> None:
    """Moves back what a command that was killed had set aside before it removed the run: then both have its run.json.

    A later run with the same run.json may take them as well, as far as it has none of its own.
    """
    if not storage.is_local or (run := storage.read_json(RUN)) is None:
        return
    kept = previous_of(storage)
    if kept.read_json(RUN) == run:
        for name in SET_ASIDE:
            target = storage.local_folder() / name
            if (kept.local_folder() / name).is_dir() and not target.exists():
                os.replace(kept.local_folder() / name, target)


def _own_run(
    request: AugmentRequest, storage: Storage, identity: Callable[[], Identity], say: Callable[[str], None]
) -> str | None:
    """The same of the run that is overwritten, or of what one that was killed meanwhile had kept of it."""
    kept, why = [previous_of(storage)] if storage.is_local else [], _unusable(storage)
    whole = storage.size(f"{CANDIDATES}/manifest.json") is not None  # else a part of what was kept, if that is there
    usable = [one for one in ([storage, *kept] if whole else [*kept, storage]) if not _unusable(one)]
    if usable and not storage.is_local:
        why = "it in an object store, where they are deleted first: name this run with --reuse and another --out"
    elif usable:
        others = {one.root: _other(existing_run(one), identity()) for one in usable}
        if fitting := next((root for root, other in others.items() if not other), None):
            say("reusing the candidates of the run that is overwritten")
            return fitting
        why = others[usable[0].root]
    if request.reuse is not None:
        raise _refused(request, why)
    if usable:
        say(f"candidates of the run that is overwritten are not reused: found {why}")
    return None


def drop_previous(storage: Storage) -> None:
    """Removes what was kept of a run that was overwritten."""
    if storage.is_local:
        shutil.rmtree(previous_of(storage).root, ignore_errors=True)


def recorded_run(storage: Storage, run: RunFile) -> str | None:
    """The folder that run.json names as the one whose candidates are taken; None where it is not there any more.

    Args:
        storage: the run's folder.
        run: its run.json.
    """
    if run.reused_from is None:
        return None
    earlier = previous_of(storage) if run.reused_from == PREVIOUS else Storage(run.reused_from)
    usable = not _unusable(earlier) and not _other(existing_run(earlier), run.identity)
    return earlier.root if usable else None


def previous_of(storage: Storage) -> Storage:
    """Where a run that is overwritten leaves its candidates till the next one is done."""
    return Storage(within(storage.root, PREVIOUS))


def _refused(request: AugmentRequest, why: str) -> UserError:
    return UserError(
        f"--reuse {request.reuse}: expected a run with candidates of the same settings, models and software, found "
        f"{why}; leave --reuse out, or change that"
    )


def _as_begun(request: AugmentRequest, storage: Storage, started: RunFile) -> str | None:
    named = None if request.reuse in (None, NONE) else Storage(str(request.reuse)).root
    if request.reuse is not None and named not in (started.reused_from, storage.root):
        raise UserError(
            f"{storage.display()}: expected the settings it was begun with, found other --reuse: "
            f"{started.reused_from or 'none'} there, {request.reuse} now. Use the same, another --out, or --overwrite"
        )
    return recorded_run(storage, started)


def _unusable(storage: Storage) -> str:
    """Why nothing can be taken of a folder; empty where something can."""
    content = storage.read_json(RUN)
    if content is None:
        return "no run.json there"
    if content.get("resampled_from"):
        return f"one that was drawn from {content['resampled_from']}: name that one"
    if not storage.names(f"{CANDIDATES}/records") or read_snapshot(storage) is None:
        return "none of its candidates stored"
    return ""


def _other(earlier: RunFile, identity: Identity) -> str:
    """In what a run differs that decides candidates; empty for nothing."""
    then, now = earlier.identity.settings, identity.settings
    settings = replace(now, candidates=then.candidates, compute=then.compute)  # all others decide no candidates
    there = replace(earlier.identity, task=identity.task, inputs=identity.inputs, settings=settings)
    found = differences(there.fields(), identity.fields(), AUGMENT)
    return f"other {'; '.join(found)}" if found else ""
