"""Opens plain, gzip and zip files as one stream of bytes, with clear errors where they are damaged."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

from glove.errors import VectorsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")


def is_packed(path: Path) -> bool:
    """Whether a file is gzip or zip, by its first bytes."""
    with path.open("rb") as file:
        magic = file.read(4)
    return magic in ZIP_MAGIC or magic.startswith(GZIP_MAGIC)


@contextmanager
def open_source(path: Path, member: str | None = None) -> Iterator[IO[bytes]]:
    """Opens a file by what it holds, not by its suffix.

    Args:
        path: A plain, gzip or zip file.
        member: The file inside a zip; None takes the only `.txt` (or the only file).

    Yields:
        A stream of the unpacked bytes.

    Raises:
        VectorsError: The archive is cut off, damaged, encrypted or ambiguous.
    """
    try:
        with _opened(path, member) as stream:
            yield stream
    except EOFError as error:
        raise VectorsError(f"{path}: the compressed data end too early, the file was cut off; get it again") from error
    except (zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise VectorsError(
            f"{path}: the compressed data are damaged or cut off ({error}); get the file again"
        ) from error


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    with path.open("rb") as plain:
        magic = plain.read(4)
        plain.seek(0)
        if magic in ZIP_MAGIC:
            with zipfile.ZipFile(plain) as archive, _open_member(archive, path, member) as unpacked:
                yield unpacked
        elif member is not None:
            raise VectorsError(f"{path} is no zip file, so there is no {member} in it; name the file itself")
        elif magic.startswith(GZIP_MAGIC):
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=plain))
        else:
            yield plain


def _open_member(archive: zipfile.ZipFile, path: Path, member: str | None) -> IO[bytes]:
    name = _choose_member(archive, path, member)
    try:
        return archive.open(name)
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or a compression Python lacks
        raise VectorsError(f"{path}: {name} cannot be unpacked here ({error}); unpack it yourself") from error


def _choose_member(archive: zipfile.ZipFile, path: Path, member: str | None) -> str:
    files = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if member is not None:
        if member in files:
            return member
        raise VectorsError(f"{path} has no {member}; it has {', '.join(files) or 'no file'}")
    texts = [name for name in files if name.lower().endswith(".txt")] or files
    if len(texts) == 1:
        return texts[0]
    if not texts:
        raise VectorsError(f"{path}: expected a zip file with one .txt, found no file in it")
    raise VectorsError(f"{path}: expected one .txt, found {', '.join(texts)}; name one of them as {path}/{texts[0]}")
