"""The caches of a run: made its own before its first stage, and opened for the stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distill.folder_lock import folder_lock
from pipelines.teacher_cache.room import OFF, refuse_foreign_caches, shard_hashes

if TYPE_CHECKING:
    from pathlib import Path

    from distill.shards import ShardStream
    from distill.targets import Targets
    from distill.teacher import Teacher
    from pipelines.options.teacher_cache import CacheChoice
    from pipelines.reporting import Reporter
    from pipelines.run_folder.storage import Storage
    from pipelines.training.ranks import Ranks


def cache_root(choice: CacheChoice, storage: Storage) -> Path:
    """Where the caches lie: in folders named by their content."""
    return choice.folder or storage.local_folder() / "teacher_cache"


def claim_caches(choice: CacheChoice, teacher: Teacher, stream: ShardStream, contents: set[str], root: Path) -> None:
    """Makes the folders of a run's caches its own before its first stage, and empties those to be rebuilt.

    Args:
        choice: what the user asked for.
        teacher: the teacher.
        stream: the training rows.
        contents: of the caches that will be used.
        root: folder of the caches.

    Raises:
        DistillError: another run is at work there, or the folder holds another teacher's cache or something else.
    """
    from distill.cache_folder import claim_cache, empty_cache
    from distill.targets import cache_key

    wanted = sorted(contents - {OFF})
    if not wanted:
        return
    with folder_lock(root):
        for content in wanted:
            if choice.rebuild:
                empty_cache(root / content)
            claim_cache(root / content, cache_key(teacher, stream, content), choice.rebuild)


def warn_of_rebuild(choice: CacheChoice, started: Any, reporter: Reporter) -> None:
    """Says that caches are emptied when a run begins, and not when it goes on: it would throw its own records away.

    Args:
        choice: what the user asked for.
        started: the run's run.json; None for a fresh folder.
        reporter: is told.
    """
    if choice.rebuild and started is not None and "resolved" in started:
        reporter.warning(
            "--rebuild-cache: nothing was emptied, for this run began before and goes on with its cache; to make "
            "student and cache anew, add --overwrite"
        )


def open_targets(
    choice: CacheChoice, teacher: Teacher, stream: ShardStream, content: str, root: Path, ranks: Ranks
) -> Targets:
    """Where a stage gets its targets from: the teacher, through a cache unless it is off.

    Raises:
        DistillError: the folder holds another teacher's cache, or something else.
    """
    from distill.targets import Targets, cache_key
    from distill.teacher_cache import TeacherCache

    if content == OFF:
        return Targets(teacher)
    key = cache_key(teacher, stream, content)
    hashes = shard_hashes(stream)
    rows = [stream.files.shard_rows(shard) for shard in range(len(hashes))]
    if ranks.main:  # it claims the folder, and drops what is damaged, before the others look
        refuse_foreign_caches(choice, teacher, stream, {content}, root)
        cache = TeacherCache(root / content, key, hashes, rows, rebuild=choice.rebuild)
    ranks.wait()
    if not ranks.main:
        cache = TeacherCache(root / content, key, hashes, rows, ranks.rank)
    return Targets(teacher, cache)
