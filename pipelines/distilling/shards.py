"""The shards behind --train: where they are, whether they are all there, and whether their labels are the task's."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.augmenting.stages import AUGMENTED
from pipelines.errors import UserError
from pipelines.run_folder.address import within
from pipelines.run_folder.storage import Storage
from pipelines.tasks.custom_files import FORMATS
from pipelines.tasks.labels import MISSING, class_name, plain_name
from pipelines.tasks.readers.columnar import decoded_array, python_values
from pipelines.tasks.readers.parquet_reader import stored_class_names
from pipelines.tasks.task import UNLABELLED, RowError, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distill.reading import ShardFiles
    from pipelines.tasks import Label, Task

NUMBERED = re.compile(r"(.+)-\d{5}-of-(\d{5})\.parquet")
LEARNT = "in this order, for their numbers are learnt; or name the task that these shards are of"
REMEDY = "name the task that these shards are of, or leave the column out, for a student learns from its teacher alone"


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
        return within(train, "data")
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
    sets = Counter((found[1], int(found[2])) for name in names if (found := NUMBERED.fullmatch(name)))
    for (prefix, parts), there in sets.items():
        if there < parts:
            raise UserError(
                f"--train {place}: expected {parts} shards {prefix}-…-of-{parts:05d}.parquet, found {there}; run "
                "`tinyaug augment` again until it is done, fetch the rest, or rename those to learn from them alone"
            )


def check_shard_labels(files: ShardFiles, task: Task, learnt: bool = False) -> None:
    """Refuses shards of other classes, by the names stored with them and by their labels; reads the label column alone.

    A shard without that column passes, and so do rows without a label: null, NaN, an empty text, -1. Names that are
    numbers say nothing, and pass; so does another order of the same names, unless their numbers are learnt: then every
    row needs the number of its class.

    Args:
        files: the shards.
        task: the task; one without classes has nothing to compare with.
        learnt: whether the labels are.

    Raises:
        UserError: naming the shard, and the row where a label tells.
        DistillError: a row group that cannot be read.
    """
    import pyarrow.parquet as pq

    from distill.stores import reading

    column, names = task.label.column, task.label.names
    known, alike = ({*map(str, range(len(names)))}, list) if learnt else (_known(task.label), set)
    remedy = LEARNT if learnt else REMEDY
    if task.label.kind != "class" or column is None:
        return
    for path, sizes in zip(files.paths, files.row_groups, strict=True):
        with reading(f"labels of {path}"), pq.ParquetFile(path, filesystem=files.filesystem) as file:
            if column not in file.schema_arrow.names:
                continue
            stored = stored_class_names(file.schema_arrow).get(column, ())
            say_nothing = _are_numbers(stored) or _are_numbers(names)
            if not say_nothing and alike(map(str.lower, stored)) != alike(map(str.lower, names)):
                raise UserError(
                    f"{path}, column {column!r}: expected the classes of {task.name} ({listed(names)}), found "
                    f"{listed(stored)}; {remedy}"
                )
            for group in range(len(sizes)):
                labels = decoded_array(pa.concat_arrays(file.read_row_group(group, columns=[column]).column(0).chunks))
                for value in python_values(labels if pa.types.is_nested(labels.type) else labels.unique()):
                    if _name(value) not in known:
                        row = sum(sizes[:group]) + python_values(labels).index(value)
                        raise UserError(
                            f"{path}, row {row}, column {column!r}: expected a label of {task.name} ({listed(names)}, "
                            f"or their numbers, 0 to {len(names) - 1}), found {shown(value)}; correct it, {remedy}"
                        )


def _are_numbers(names: Iterable[str]) -> bool:
    """Whether names of classes say nothing: they are numbers, or there are none."""
    return all(name.lower().removeprefix("label_").removeprefix("-").isdecimal() for name in names)


def _known(label: Label) -> set[str]:
    """What names a class, its number, or nothing; of two classes the truth values, too. In lower case."""
    truths = ("false", "true") if len(label.names) == 2 else ()
    names = [plain_name(name).lower() for name in label.names]
    return {"", *names, *truths, *map(str, range(UNLABELLED, len(names)))}


def _name(value: Any) -> str:
    try:
        name = class_name(value, None).lower()
    except RowError:
        return "" if value is None or value != value else str(value).lower()  # null, NaN, or what can be no class
    return "" if name in MISSING else name
