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
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from glove.cache import default_cache_folder, locked, writing
from glove.deadline import ask_in_time
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
    if (present := kept_file(name, cache)) is not None:
        return present
    target = cache / "gensim" / f"{name}.gz"
    with writing(cache), locked(target) as alone:
        if not target.is_file():
            _download(name, target, alone, report)
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
    mirror = os.environ.get("TINYAUG_GENSIM_URL")
    return f"{mirror.rstrip('/')}/list.json" if mirror else LIST_URL


def find_checksum(name: str, seconds: float | None = None) -> str:
    """The MD5 of a name's data file, from gensim's list.

    Args:
        name: Such as `glove-wiki-gigaword-300`.
        seconds: The deadline; None for LIST_SECONDS.

    Raises:
        VectorsError: No network, an unknown name.
    """
    url, seconds = list_url(), seconds or LIST_SECONDS

    def fetch() -> bytes:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return bytes(answer.read())

    try:
        content = ask_in_time(fetch, seconds)
    except NETWORK_ERRORS as error:
        raise VectorsError(
            f"{name} is no file here, and asking {url} for vectors of that name failed: {error}; check the path, or "
            "the network"
        ) from error
    try:
        listed = json.loads(content)
        models, corpora = dict(listed["models"]), dict(listed["corpora"])
        if name in models:
            return str(models[name]["checksum"])
    except (ValueError, KeyError, TypeError) as error:
        raise VectorsError(f"{url}: not gensim's list of models ({error!r}); try again later") from error
    if name in corpora:
        raise VectorsError(f"{name} is a corpus of gensim's, expected word vectors")
    near = ", ".join(difflib.get_close_matches(name, models, 5, 0.4)) or ", ".join(sorted(models))
    raise VectorsError(f"{name} is neither a file nor a name gensim knows; near are: {near}")


def _download(name: str, target: Path, alone: bool, report: Callable[[str], None]) -> None:
    checksum = find_checksum(name)
    url = f"{(os.environ.get('TINYAUG_GENSIM_URL') or RELEASES_URL).rstrip('/')}/{name}/{name}.gz"
    # The checksum in its name ties a piece to its file. Where there are no locks another process may be at the same
    # file: this one then has a piece of its own.
    own = "" if alone else f".{uuid.uuid4().hex}"
    piece = target.with_name(f"{target.name}.{checksum}{own}.part")
    try:
        _fetch(url, name, piece, report)
        with piece.open("rb") as stream:
            found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != checksum:
            piece.unlink()
            raise VectorsError(f"{url}: expected MD5 {checksum}, found {found}; it was not kept, run the command again")
    except BaseException:
        if not alone:
            piece.unlink(missing_ok=True)
        raise
    os.replace(piece, target)
    report(f"{name}: downloaded and checked")


def _fetch(url: str, name: str, piece: Path, report: Callable[[str], None]) -> None:
    """Completes a piece: from where it broke off if the server sends the rest, else from the beginning."""
    start = piece.stat().st_size if piece.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=STALL_SECONDS) as answer:
            if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                start = 0
            done, total = _append(answer, start, url, name, piece, report)
    except VectorsError:
        raise
    except NETWORK_ERRORS as error:
        code = error.code if isinstance(error, urllib.error.HTTPError) else 0
        if start and code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is there
        raise VectorsError(f"{url}: the download failed ({error}); run the command again to go on") from error
    if total and done != total:
        raise VectorsError(
            f"{url}: the download was interrupted after {done} of {total} bytes; run the command again to go on"
        )


def _append(
    answer: http.client.HTTPResponse, start: int, url: str, name: str, piece: Path, report: Callable[[str], None]
) -> tuple[int, int]:
    """Adds an answer to a piece; gives its bytes now and, where the server told, at the end."""
    length = answer.headers.get("Content-Length")
    total = start + int(length) if length else 0
    again = f", going on after {start / 1e6:.0f} MB" if start else ""
    report(f"{name}: downloading {total / 1e6:.0f} MB from {url}{again}")
    done = reported = start
    with piece.open("ab" if start else "wb") as out:
        while chunk := answer.read(CHUNK):
            with writing(piece.parents[1]):  # keeps a full disk apart from a failing network: both are OSError
                out.write(chunk)
                out.flush()
            done += len(chunk)
            if done - reported >= REPORT_BYTES:
                reported = done
                report(f"{name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
        os.fsync(out.fileno())
    return done, total
