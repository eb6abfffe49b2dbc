"""Fetches vectors by their gensim-downloader name: the data file only, checked, never code.

`gensim.downloader.load` runs an `__init__.py` that it downloads; here the same list and the same files are read.
"""

from __future__ import annotations

import difflib
import hashlib
import http
import http.client
import json
import os
import shutil
import threading
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from glove.cache import atomic_file, default_cache_folder, locked, writing
from glove.errors import VectorsError

if TYPE_CHECKING:
    from collections.abc import Callable

LIST_URL = "https://raw.githubusercontent.com/piskvorky/gensim-data/master/list.json"
RELEASES_URL = "https://github.com/piskvorky/gensim-data/releases/download"
LIST_SECONDS = 4.5  # for the list as a whole, name look-up included
STALL_SECONDS = 30
CHUNK = 1 << 20
REPORT_BYTES = 64 << 20
NETWORK_ERRORS = (OSError, http.client.HTTPException, ValueError)


def gensim_file(name: str, cache: Path, report: Callable[[str], None]) -> Path:
    """The data file of a gensim-downloader name, downloaded once.

    Args:
        name: Such as `glove-wiki-gigaword-300`.
        cache: The cache folder; what gensim itself downloaded earlier is used too.
        report: Takes messages of progress.

    Returns:
        A checked file, gzip as gensim has it.

    Raises:
        VectorsError: No network, an unknown name, or a file that differs from its checksum.
    """
    present = kept_file(name, cache)
    if present is not None:
        return present
    target = cache / "gensim" / f"{name}.gz"
    with writing(cache), locked(target) as alone:
        if not target.is_file():
            _download(name, find_entry(name), target, alone, report)
    return target


def kept_file(name: str, cache: Path | None = None) -> Path | None:
    """The data file of a name where it was downloaded before, by us or by gensim itself; None if it was not.

    Args:
        name: Such as `glove-wiki-gigaword-300`.
        cache: The cache folder; None takes TINYAUG_CACHE or the user's cache folder.
    """
    target = (cache or default_cache_folder()) / "gensim" / f"{name}.gz"
    own = Path(os.environ.get("GENSIM_DATA_DIR", "~/gensim-data")).expanduser() / name / f"{name}.gz"
    return next((path for path in (target, own) if path.is_file()), None)


def list_url() -> str:
    """Where the list of names is read."""
    return _urls()[0]


def _urls() -> tuple[str, str]:
    base = os.environ.get("TINYAUG_GENSIM_URL")
    return (f"{base.rstrip('/')}/list.json", base.rstrip("/")) if base else (LIST_URL, RELEASES_URL)


def find_entry(name: str, seconds: float | None = None) -> dict[str, Any]:
    """What the list says about a name: number of parts, checksums.

    Args:
        name: Such as `glove-wiki-gigaword-300`.
        seconds: Until when it has to be there; None for LIST_SECONDS.

    Raises:
        VectorsError: No network, an unknown name.
    """
    try:
        listed = json.loads(_fetch_in_time(_urls()[0], name, seconds or LIST_SECONDS))
        models, corpora = dict(listed["models"]), dict(listed["corpora"])
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, VectorsError):
            raise
        raise VectorsError(f"{_urls()[0]}: not gensim's list of models ({error!r}); try again later") from error
    if name in models:
        return dict(models[name])
    if name in corpora:
        raise VectorsError(f"{name} is a corpus of gensim's, expected word vectors")
    near = ", ".join(difflib.get_close_matches(name, models, 5, 0.4)) or ", ".join(sorted(models))
    raise VectorsError(f"{name} is neither a file nor a name gensim knows; near are: {near}")


def _fetch_in_time(url: str, name: str, seconds: float) -> bytes:
    """Reads a small file; in a thread, because a name look-up has no timeout of its own."""
    outcome: list[bytes | Exception] = []

    def fetch() -> None:
        try:
            with urllib.request.urlopen(url, timeout=seconds) as answer:
                outcome.append(answer.read())
        except NETWORK_ERRORS as error:
            outcome.append(error)

    worker = threading.Thread(target=fetch, daemon=True)
    worker.start()
    worker.join(seconds)
    result = outcome[0] if outcome else TimeoutError(f"no answer within {seconds:g} s")
    if isinstance(result, Exception):
        raise VectorsError(
            f"{name} is no file here, and asking {url} for vectors of that name failed: {result}; "
            "check the path, or the network"
        ) from result
    return result


def _download(name: str, entry: dict[str, Any], target: Path, alone: bool, report: Callable[[str], None]) -> None:
    # gensim's scheme: one file NAME.gz, or parts NAME.gz_00, NAME.gz_01, … with a checksum each
    parts = int(entry.get("parts", 1))
    files = [("", "checksum")] if parts == 1 else [(f"_0{part}", f"checksum-{part}") for part in range(parts)]
    # Where there are no locks another process may be at the same file: this one then has pieces of its own.
    own = "" if alone else f".{uuid.uuid4().hex}"
    pieces = [Piece(target.with_name(f"{target.name}{suffix}{own}.part"), resumable=alone) for suffix, _ in files]
    try:
        for piece, (suffix, key) in zip(pieces, files, strict=True):
            url = f"{_urls()[1]}/{name}/{name}.gz{suffix}"
            _fetch(url, name, piece, report)
            found, expected = piece.md5(), entry.get(key)
            if found != expected:
                piece.drop()
                raise VectorsError(
                    f"{url}: expected MD5 {expected}, found {found}; it was not kept, run the command again"
                )
        with atomic_file(target) as out:
            for piece in pieces:
                with piece.path.open("rb") as stream:
                    shutil.copyfileobj(stream, out, CHUNK)
    except BaseException:
        for piece in pieces:
            piece.drop_if_useless()
        raise
    for piece in pieces:
        piece.drop()
    report(f"{name}: downloaded and checked")


@dataclass(frozen=True)
class Piece:
    """A file that is being downloaded, and the tag of the file it comes from.

    Args:
        path: Where it lies.
        resumable: Whether a later command goes on with it.
    """

    path: Path
    resumable: bool

    @property
    def _tag_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.etag")

    def kept(self) -> tuple[int, str]:
        """Bytes that came before, and the tag of the file they are of; none without a tag."""
        try:
            return self.path.stat().st_size, self._tag_path.read_text(encoding="ascii")
        except (OSError, ValueError):
            return 0, ""

    def begin(self, tag: str | None) -> None:
        """Empties it for a file of this tag; only a strong one tells that two answers are of the same bytes."""
        self.drop()
        self.path.touch()
        if self.resumable and tag and not tag.startswith("W/"):
            self._tag_path.write_text(tag, encoding="ascii")

    def drop(self) -> None:
        """Removes it."""
        for path in (self._tag_path, self.path):
            path.unlink(missing_ok=True)

    def md5(self) -> str:
        """The digest that gensim's list has of it."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

    def drop_if_useless(self) -> None:
        """Removes what no later command can go on with."""
        if not self.kept()[1]:
            self.drop()

    def remedy(self) -> str:
        """What to do after it broke off."""
        if self.kept()[0]:
            return "what came is kept: run the command again to go on"
        return "nothing was kept, try again"


def _fetch(url: str, name: str, piece: Piece, report: Callable[[str], None]) -> None:
    """Completes a piece, from where it broke off if the server still has the same file and sends parts of it."""
    start, tag = piece.kept()
    # If-Range: a server whose file has another tag by now answers with the whole of it.
    headers = {"Range": f"bytes={start}-", "If-Range": tag} if start else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=STALL_SECONDS) as answer:
            if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                start = 0
                piece.begin(answer.headers.get("ETag"))
            if not start or _is_rest(answer, start, tag):
                _append(answer, start, url, name, piece, report)
                return
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
            raise VectorsError(f"{url}: the download failed ({error}); {piece.remedy()}") from error
        if error.headers.get("Content-Range") == f"bytes */{start}":
            return  # all of it is there
    except NETWORK_ERRORS as error:
        if isinstance(error, VectorsError):
            raise
        raise VectorsError(f"{url}: the download failed ({error}); {piece.remedy()}") from error
    piece.drop()  # the server sent something else than was asked for: its file changed
    _fetch(url, name, piece, report)


def _is_rest(answer: http.client.HTTPResponse, start: int, tag: str) -> bool:
    same = answer.headers.get("ETag", tag) == tag
    return same and (answer.headers.get("Content-Range") or "").startswith(f"bytes {start}-")


def _append(
    answer: http.client.HTTPResponse, start: int, url: str, name: str, piece: Piece, report: Callable[[str], None]
) -> None:
    length = answer.headers.get("Content-Length")
    total = start + int(length) if length else 0
    again = f", going on after {start / 1e6:.0f} MB" if start else ""
    report(f"{name}: downloading {total / 1e6:.0f} MB from {url}{again}")
    done = reported = start
    with piece.path.open("ab") as out:
        while chunk := answer.read(CHUNK):
            _write(out, chunk)
            done += len(chunk)
            if done - reported >= REPORT_BYTES:
                reported = done
                report(f"{name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
    if total and done != total:
        raise VectorsError(f"{url}: the download was interrupted after {done} of {total} bytes; {piece.remedy()}")


def _write(out: IO[bytes], chunk: bytes) -> None:
    """Keeps a full disk apart from a failing network: both are OSError."""
    try:
        out.write(chunk)
        out.flush()
    except OSError as error:
        raise VectorsError(f"cannot write the download: {error}; free space or set TINYAUG_CACHE") from error
