"""The shards behind --train: where they are, and whether they are all there."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pipelines.augmenting.stages import AUGMENTED
from pipelines.errors import UserError
from pipelines.run_folder.storage import Storage
from pipelines.tasks.custom_files import FORMATS

NUMBERED = re.compile(r"(.+)-\d{5}-of-(\d{5})\.parquet")


def shards_of(train: str) -> str:
    """The folder with the shards: `runs/sst2/augmented` means its `data`.

    Raises:
        UserError: there is nothing of that name, or it cannot be looked at.
    """
    storage = Storage(train)
    try:
        inside, own = storage.names("data"), storage.names()
    except OSError as error:
        raise UserError(
            f"--train {storage.display()}: expected a folder of Parquet shards, it cannot be listed ({error}); check "
            "the address, the network and the access to it"
        ) from error
    _refuse_incomplete(storage.display(), inside or own)
    if inside:
        folder, mark, options = (train, "", "") if storage.is_local else train.partition("?")
        return f"{folder.rstrip('/')}/data{mark}{options}"
    if storage.is_local and not storage.local_folder().exists():
        raise UserError(
            f"--train {train}: expected a folder of Parquet shards, found nothing there; make them with "
            "`tinyaug augment`, or leave --train out to learn from the task's own train part"
        )
    if AUGMENTED in own:
        raise UserError(
            f"--train {storage.display()}: expected a folder of Parquet shards, found the run directory of a `tinyaug "
            f"augment` or `tinyaug run`; give {storage.display(AUGMENTED)}"
        )
    _refuse_other_formats(storage.display(), own)
    return train


def _refuse_other_formats(place: str, names: list[str]) -> None:
    """Refuses what --data takes and --train does not.

    Args:
        place: as it is shown; a file where nothing lies in it.
        names: that lie in it.

    Raises:
        UserError: naming the option that takes it.
    """
    if any(name.endswith(".parquet") for name in names):
        return
    for name in names or [place]:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in FORMATS and suffix != ".parquet" and not (names and suffix == ".json"):  # those are ours, too
            raise UserError(
                f"--train {place}: expected Parquet shards, found {name if names else f'a {suffix} file'}; --train "
                f"takes Parquet, a {suffix.strip('.')} goes into --data"
            )


def _refuse_incomplete(place: str, names: list[str]) -> None:
    """Refuses a part of a set whose files say how many they are, as ours do and those of the hub.

    Raises:
        UserError: naming how many are missing.
    """
    sets: dict[tuple[str, int], int] = {}
    for name in names:
        if found := NUMBERED.fullmatch(name):
            key = found[1], int(found[2])
            sets[key] = sets.get(key, 0) + 1
    for (prefix, parts), there in sets.items():
        if there < parts:
            raise UserError(
                f"--train {place}: expected {parts} shards {prefix}-…-of-{parts:05d}.parquet, found {there}; run "
                "`tinyaug augment` again until it is done, fetch the rest, or rename those to learn from them alone"
            )
