"""Which rows of --train are learnt from: those that --max-flip leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from distill.digests import file_sha256
from distill.reading import open_shards
from distill.stores import reading
from pipelines.auditing.judgements import FOLDER, judged_of
from pipelines.errors import UserError
from pipelines.run_folder.address import shown_address
from pipelines.run_folder.run_file import InputDigest
from pipelines.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from distill.reading import Columns


@dataclass(frozen=True)
class Kept:
    """The rows of some shards that are learnt from.

    Args:
        rows: bool (R,) whether each row is, shard after shard.
        words: how many are not, and why.
        decided_by: the files that say so.
    """

    rows: NDArray[np.bool_]
    words: str
    decided_by: tuple[InputDigest, ...] = ()


def find_kept(location: str, columns: Columns, max_flip: float | None, originals: bool) -> Kept | None:
    """The rows of some shards that are learnt from; None for all.

    Args:
        location: folder of the shards.
        columns: that they must have.
        max_flip: confidence of flips that are left out; None leaves none out.
        originals: leave all variants out.

    Raises:
        UserError: as `without_flips`.
        DistillError: a file that cannot be read.
    """
    if originals:
        files, masks = open_shards(location, columns), []
        for path in files.paths:
            with reading(f"variants of {path}"):
                table = pq.read_table(path, columns=["variant"], filesystem=files.filesystem)
            masks.append(table.column("variant").to_numpy() == 0)
        rows = np.concatenate(masks)
        return Kept(rows, f"the originals alone: {rows.sum():,} of {len(rows):,} rows")
    return without_flips(location, columns, max_flip) if max_flip is not None else None


def without_flips(location: str, columns: Columns, least: float) -> Kept:
    """Leaves out the variants that flip, by what `tinyaug audit --all` wrote beside their shards.

    Args:
        location: folder of the shards.
        columns: that they must have.
        least: confidence of a flip that is left out, and of those above.

    Raises:
        UserError: judgements are missing, or are of other shards or of several teachers.
        DistillError: a file that cannot be read.
    """
    files, masks, digests, by = open_shards(location, columns), [], [], set()
    for shard, path in enumerate(files.paths):
        place = PurePosixPath(path).parent.parent / FOLDER / PurePosixPath(path).name
        info: Any = files.filesystem.get_file_info(str(place))
        if not info.is_file:
            continue
        with reading(f"judgements of {path}"):
            table = pq.read_table(str(place), filesystem=files.filesystem)
        of, judge = judged_of(table.schema)
        if of == files.sha256(shard) and table.num_rows == files.shard_rows(shard):
            by.add(judge)
            flips = pc.and_(table.column("flips"), pc.greater_equal(table.column("confidence"), np.float32(least)))
            masks.append(~flips.to_numpy())
            digests.append(InputDigest(f"{FOLDER}/{place.name}", info.size, file_sha256(files.filesystem, str(place))))
    if len(masks) < len(files.paths) or len(by) > 1:
        found = f"those of {len(masks)}" if len(by) < 2 else "those of several teachers or settings"
        run = shown_address(location).rstrip("/").rsplit("/", 2)[0]
        raise UserError(
            f"--max-flip {least:g}: expected one teacher's judgements of {counted(len(files.paths), 'shard')} in "
            f"{shown_address(location)}, found {found}; make them with `tinyaug audit {run} --teacher … --all`, of the "
            "run directory that `tinyaug augment` wrote"
        )
    rows = np.concatenate(masks)
    return Kept(rows, f"--max-flip {least:g} leaves out {(~rows).sum():,} of {len(rows):,} rows", tuple(digests))
