"""Fetches vectors by their gensim-downloader name: the data file only, checked, never code.

`gensim.downloader.load` runs an `__init__.py` that it downloads; here the same list and the same files are read.
"""

from __future__ import annotations

import difflib
import hashlib
import http.client
import json
import os
import threading
import urllib.error
import urllib.request
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
    with writing(cache), locked(target):
        if not target.is_file():
            _download(name, find_entry(name), target, report)
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


def _download(name: str, entry: dict[str, Any], target: Path, report: Callable[[str], None]) -> None:
    parts = int(entry.get("parts", 1))
    with atomic_file(target) as out:
        for part in range(parts):
            # gensim's scheme: one file NAME.gz, or parts NAME.gz_00, NAME.gz_01, … with a checksum each
            suffix, key = ("", "checksum") if parts == 1 else (f"_0{part}", f"checksum-{part}")
            url = f"{_urls()[1]}/{name}/{name}.gz{suffix}"
            found, expected = _copy(url, name, out, report), entry.get(key)
            if found != expected:
                raise VectorsError(
                    f"{url}: expected MD5 {expected}, found {found}; nothing was kept, run the command again"
                )
    report(f"{name}: downloaded and checked")


def _copy(url: str, name: str, out: IO[bytes], report: Callable[[str], None]) -> str:
    """Appends what a URL holds; gives its MD5."""
    digest, done, reported = hashlib.md5(usedforsecurity=False), 0, 0
    try:
        with urllib.request.urlopen(url, timeout=STALL_SECONDS) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            report(f"{name}: downloading {total / 1e6:.0f} MB from {url}")
            while chunk := answer.read(CHUNK):
                digest.update(chunk)
                done += len(chunk)
                _write(out, chunk)
                if done - reported >= REPORT_BYTES:
                    reported = done
                    report(f"{name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
    except NETWORK_ERRORS as error:
        if isinstance(error, VectorsError):
            raise
        raise VectorsError(f"{url}: the download failed ({error}); nothing was kept, try again") from error
    if total and done != total:
        raise VectorsError(
            f"{url}: the download was interrupted after {done} of {total} bytes; nothing was kept, try again"
        )
    return digest.hexdigest()


def _write(out: IO[bytes], chunk: bytes) -> None:
    """Keeps a full disk apart from a failing network: both are OSError."""
    try:
        out.write(chunk)
    except OSError as error:
        raise VectorsError(f"cannot write the download: {error}; free space or set TINYAUG_CACHE") from error
