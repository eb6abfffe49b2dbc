"""The converted form: made once, by one process, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import glove.cache
import glove.sources
from glove import VectorsError, load_vectors
from glove.cache import default_cache_folder

PROGRAM = """
import sys, glove
vectors = glove.load_vectors(sys.argv[1], progress=print)
print(vectors.row("film"), vectors.fingerprint, float(vectors.unit_rows.sum()))
"""


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def folders(cache: Path) -> list[str]:
    return [path.name for path in (cache / "vectors").iterdir() if path.is_dir()]


def test_warm_load_does_not_read_the_source_again(glove_file, cache, monkeypatch):
    first = load_vectors(glove_file, cache)
    monkeypatch.setattr(glove.sources, "read_file", lambda *_: pytest.fail("parsed again"))
    second = load_vectors(glove_file, cache)
    assert isinstance(second.unit_rows.base, np.memmap)
    assert not second.unit_rows.flags.writeable
    assert np.array_equal(first.unit_rows, second.unit_rows)
    assert folders(cache) == [second.fingerprint]


def test_same_content_elsewhere_shares_the_form_under_its_own_name(glove_file, cache, tmp_path, monkeypatch):
    first = load_vectors(glove_file, cache)
    copy = shutil.copy(glove_file, tmp_path / "copy.txt")
    monkeypatch.setattr(glove.sources, "read_file", lambda *_: pytest.fail("parsed again"))
    second = load_vectors(copy, cache)
    assert (first.fingerprint, second.name) == (second.fingerprint, "copy.txt")


def test_changed_content_is_converted_anew(cache, tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("a 1 0\nb 0 1\n")
    first = load_vectors(path, cache)
    path.write_text("a 1 0\nc 0 1\n")  # same size, possibly the same clock tick
    second = load_vectors(path, cache)
    assert (first.word(1), second.word(1)) == ("b", "c")


def test_hashes_of_settled_files_are_remembered(glove_file, cache, tmp_path, monkeypatch):
    path = Path(shutil.copy(glove_file, tmp_path / "old.txt"))
    os.utime(path, (1e9, 1e9))
    load_vectors(path, cache)
    monkeypatch.setattr(glove.cache.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    load_vectors(path, cache)
    for note in (cache / "hashes").iterdir():
        note.write_text("{")
    with pytest.raises(pytest.fail.Exception):
        load_vectors(path, cache)


@pytest.mark.parametrize("damage", ["truncate", "remove", "meta", "format", "header", "empty"])
def test_damage_is_mended(glove_file, cache, damage):
    vectors = load_vectors(glove_file, cache)
    folder, expected = vectors.folder, vectors.unit_rows.tolist()
    if damage == "truncate":
        with (folder / "unit_rows.npy").open("rb+") as stream:
            stream.truncate(200)
    elif damage == "remove":
        (folder / "word_bytes.npy").unlink()
    elif damage == "meta":
        (folder / "meta.json").write_text("[1]")
    elif damage == "format":
        meta = json.loads((folder / "meta.json").read_text())
        (folder / "meta.json").write_text(json.dumps({**meta, "format": 0}))
    elif damage == "header":
        size = (folder / "hash_rows.npy").stat().st_size
        (folder / "hash_rows.npy").write_bytes(b"x" * size)
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    if damage != "empty":
        with pytest.raises(VectorsError, match="damaged"):
            load_vectors(folder)
    assert load_vectors(glove_file, cache).unit_rows.tolist() == expected
    assert folders(cache) == [vectors.fingerprint]


def test_a_converted_folder_is_a_source(glove_file, cache, tmp_path):
    vectors = load_vectors(glove_file, cache)
    moved = shutil.copytree(vectors.folder, tmp_path / "moved")
    again = load_vectors(moved)
    assert (again.name, again.fingerprint) == (vectors.name, vectors.fingerprint)
    with pytest.raises(VectorsError, match="folder of converted vectors"):
        load_vectors(tmp_path)


def test_pickle_maps_the_folder_again(glove_file, cache):
    vectors = load_vectors(glove_file, cache)
    packed = pickle.dumps(vectors)
    assert len(packed) < 1000
    again = pickle.loads(packed)
    assert isinstance(again.unit_rows.base, np.memmap)
    assert again.name == vectors.name


def test_an_error_midway_leaves_nothing(glove_file, cache, monkeypatch):
    def failing(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(glove.cache, "word_table", failing)
    with pytest.raises(VectorsError, match=r"No space left.*TINYAUG_CACHE"):
        load_vectors(glove_file, cache)
    assert folders(cache) == []
    monkeypatch.undo()
    assert len(load_vectors(glove_file, cache)) == 20


def test_an_unusable_cache_is_named(glove_file, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VectorsError, match="TINYAUG_CACHE"):
        load_vectors(glove_file, tmp_path / "file")


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TINYAUG_CACHE", "/x")
    assert default_cache_folder() == Path("/x")
    monkeypatch.delenv("TINYAUG_CACHE")
    assert default_cache_folder() == tmp_path / "tinyaug"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_folder() == Path.home() / ".cache" / "tinyaug"


@pytest.mark.integration
def test_many_processes_at_once_convert_once(glove_file, cache):
    environment = {**os.environ, "TINYAUG_CACHE": str(cache)}
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(glove_file)], env=environment, stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    outputs = [process.communicate(timeout=60)[0].decode() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert len({output.splitlines()[-1] for output in outputs}) == 1
    assert sum("converting" in output for output in outputs) == 1
    assert len(folders(cache)) == 1


@pytest.mark.integration
def test_without_locks_the_rename_decides(glove_file, cache):
    environment = {**os.environ, "TINYAUG_CACHE": str(cache)}
    program = "import sys; sys.modules['fcntl'] = None\n" + PROGRAM
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(glove_file)], env=environment, stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    outputs = [process.communicate(timeout=60)[0].decode() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert len({output.splitlines()[-1] for output in outputs}) == 1
    assert len(folders(cache)) == 1


@pytest.mark.integration
def test_a_killed_conversion_leaves_nothing_half_made(glove_file, cache):
    program = (
        "import os, signal, sys, glove.cache\n"
        "glove.cache.word_table = lambda words: os.kill(os.getpid(), signal.SIGKILL)\n"
        "import glove; glove.load_vectors(sys.argv[1])\n"
    )
    environment = {**os.environ, "TINYAUG_CACHE": str(cache)}
    assert subprocess.run([sys.executable, "-c", program, str(glove_file)], env=environment).returncode == -9
    assert all(name.startswith(".") for name in folders(cache))
    vectors = load_vectors(glove_file, cache)
    assert vectors.word(0) == "film"
    assert folders(cache) == [vectors.fingerprint]  # what the killed process left is swept up
