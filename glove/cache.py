"""The user's cache: vectors in their memory-mapped form. The one module of this package that writes.

Layout (see docs/vectors.md): `vectors/<sha256>/` converted vectors, `hashes/` what is known of files already
hashed, `gensim/` downloaded files. Everything is made under a temporary name and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from glove.errors import VectorsError
from glove.vectors import ARRAYS, FORMAT, WordVectors, intact_folder, open_folder, unit_rows, word_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from glove.text import Block

SETTLED_NS = 2_000_000_000  # a file changed less than this ago may change again within one clock tick
SHOWN_DUPLICATES = 5


def default_cache_folder() -> Path:
    """TINYAUG_CACHE, else `tinyaug` in XDG_CACHE_HOME or ~/.cache."""
    if chosen := os.environ.get("TINYAUG_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tinyaug"


def fingerprint(paths: Sequence[Path], member: str | None, cache: Path) -> str:
    """SHA-256 of a source's content.

    Args:
        paths: The files it consists of; the hash of several is that of their hashes.
        member: The file inside a zip, which then counts too.
        cache: Remembers hashes by path, size, time of change and inode.

    Returns:
        64 hexadecimal digits.
    """
    hashes = [_file_hash(path, cache) for path in paths]
    if len(hashes) == 1 and member is None:
        return hashes[0]
    return hashlib.sha256("\n".join([*hashes, member or ""]).encode()).hexdigest()


def load_or_convert(
    key: str, name: str, read: Callable[[], Iterable[Block]], cache: Path, report: Callable[[str], None]
) -> WordVectors:
    """Maps the converted vectors of a source, converting it first if that was never done or is damaged.

    Args:
        key: The source's fingerprint.
        name: What the user calls it.
        read: Reads the source.
        cache: The cache folder.
        report: Takes messages of progress.

    Returns:
        Memory-mapped vectors.

    Raises:
        VectorsError: The source is broken or the cache cannot be written.
    """
    folder = cache / "vectors" / key
    if (ready := intact_folder(folder, name)) is not None:
        return ready
    with writing(cache), locked(folder) as alone:
        if (ready := intact_folder(folder, name)) is not None:  # another process was faster
            return ready
        for stale in folder.parent.glob(f".{key}-*") if alone else ():  # left by a process that died
            shutil.rmtree(stale, ignore_errors=True)
        report(f"{name}: converting to the memory-mapped form, once")
        temporary = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=folder.parent))
        try:
            _write(temporary, key, name, read(), report)
            _publish(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return open_folder(folder, name)


@contextmanager
def writing(cache: Path) -> Iterator[None]:
    """Turns what the disk refuses into one error that names the cache folder."""
    try:
        yield
    except OSError as error:
        raise VectorsError(
            f"cannot read or write while filling the cache {cache}: {error}; free some space or set "
            "TINYAUG_CACHE to a folder you may write to"
        ) from error


@contextmanager
def locked(target: Path) -> Iterator[bool]:
    """Lets one process at a time make `target`; also makes its parent folder.

    Yields:
        Whether we are alone. Where the system or file system has no locks, all processes go ahead: the rename
        keeps that correct, only wasteful.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f"{target.name}.lock").open("a") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
            alone = True
        except (ImportError, OSError):
            alone = False
        yield alone


@contextmanager
def atomic_file(target: Path) -> Iterator[IO[bytes]]:
    """A file that appears under its name only when it is complete.

    Args:
        target: The final path.

    Yields:
        A stream to write to; an exception inside leaves nothing behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _file_hash(path: Path, cache: Path) -> str:
    before = path.stat()
    identity = [str(path.resolve()), before.st_size, before.st_mtime_ns, before.st_ino]
    key = hashlib.blake2b(json.dumps(identity).encode(), digest_size=16).hexdigest()
    note = cache / "hashes" / f"{key}.json"
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["identity"] == identity and len(known["sha256"]) == 64:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise VectorsError(f"{path} changed while it was read; wait until it is complete")
    if time.time_ns() - before.st_mtime_ns > SETTLED_NS:
        with writing(cache), atomic_file(note) as out:
            out.write(json.dumps({"identity": identity, "sha256": digest}).encode())
    return digest


def _write(folder: Path, key: str, name: str, blocks: Iterable[Block], report: Callable[[str], None]) -> None:
    with (folder / "unit_rows.npy").open("wb+") as stream:
        words, dimensions, duplicates = _write_rows(stream, blocks, report)
    for array, content in zip(ARRAYS[1:], word_table(words), strict=True):
        np.save(folder / f"{array}.npy", content)
    sizes = {array: (folder / f"{array}.npy").stat().st_size for array in ARRAYS}
    meta: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "fingerprint": key,
        "words": len(words),
        "dimensions": dimensions,
        "duplicates": duplicates,
        "bytes": sizes,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
    for path in folder.iterdir():
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())


def _write_rows(
    stream: IO[bytes], blocks: Iterable[Block], report: Callable[[str], None]
) -> tuple[list[bytes], int, int]:
    """Writes unit rows as they come; gives words, dimensions and the number of duplicates left out."""
    words: list[bytes] = []
    seen: set[bytes] = set()
    duplicates, dimensions, header = 0, 0, 0
    for block in blocks:
        if block.note:
            report(block.note)
        if not words:
            dimensions = block.rows.shape[1]
            header = _write_header(stream, 0, dimensions)
        fresh = []
        for index, word in enumerate(block.words):
            if word not in seen:
                seen.add(word)
                words.append(word)
                fresh.append(index)
                continue
            duplicates += 1
            if duplicates <= SHOWN_DUPLICATES:
                report(_duplicate(word, block.first_line, index))
        rows = block.rows if len(fresh) == len(block.words) else block.rows[fresh]
        stream.write(unit_rows(rows).astype("<f4", copy=False).tobytes())
    if duplicates > SHOWN_DUPLICATES:
        report(f"{duplicates} duplicate words in all; the first of each was kept")
    stream.seek(0)
    if _write_header(stream, len(words), dimensions) != header:
        raise AssertionError("numpy made room for another number of rows")  # it pads for any row count
    return words, dimensions, duplicates


def _write_header(stream: IO[bytes], rows: int, dimensions: int) -> int:
    shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimensions)}
    np.lib.format.write_array_header_1_0(stream, shape)
    return stream.tell()


def _duplicate(word: bytes, first_line: int | None, index: int) -> str:
    where = "" if first_line is None else f"line {first_line + index}: "
    return f"{where}the word {word.decode('utf-8')!r} occurs again; its first vector was kept"


def _publish(temporary: Path, folder: Path) -> None:
    """Renames; a damaged folder steps aside, and an intact one made meanwhile wins."""
    if folder.exists() and intact_folder(folder, None) is None:
        aside = temporary.with_name(temporary.name + "-damaged")
        with suppress(FileNotFoundError):  # another process without a lock was faster
            os.replace(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)
    try:
        os.replace(temporary, folder)
    except OSError:
        if intact_folder(folder, None) is None:
            raise
