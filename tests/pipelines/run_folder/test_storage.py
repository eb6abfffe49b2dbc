"""Files of a run directory: many writers at once, and places that may not be read or written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipelines.errors import UserError
from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import tinyaug


def test_writers_do_not_take_the_folder_for_unfinished_files_from_each_other(tmp_path):
    storage = Storage(str(tmp_path))

    def write(writer: int) -> None:
        for number in range(40):
            storage.write_bytes(f"data/{writer}-{number}", b"content")

    with only_writer(storage):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
        assert (tmp_path / ".partial").is_dir()
    assert len(list((tmp_path / "data").iterdir())) == 8 * 40
    assert not (tmp_path / ".partial").exists()


def test_what_a_killed_writer_left_is_cleared_by_the_next(tmp_path):
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial/half").write_text("half")
    with only_writer(Storage(str(tmp_path))):
        assert not (tmp_path / ".partial").exists()


def test_a_place_that_cannot_be_written_to_is_told_and_nothing_is_left(tmp_path, monkeypatch):
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", deny)
    with pytest.raises(UserError, match=r"can be written to, found: Permission denied"):
        Storage(str(tmp_path / "a/run")).create()
    assert list(tmp_path.iterdir()) == []


def test_all_is_removed_but_the_lock_and_what_links_point_at(tmp_path):
    run, mine = tmp_path / "run", tmp_path / "mine"
    (run / "data").mkdir(parents=True)
    mine.mkdir()
    for path in (run / "run.json", run / ".lock", run / "data/shard", mine / "kept"):
        path.write_text("content")
    (run / "link").symlink_to(mine)
    Storage(str(run)).remove_all()
    assert [path.name for path in run.iterdir()] == [".lock"]
    assert (mine / "kept").exists()


@pytest.mark.parametrize("verb", ["status", "augment"])
def test_a_run_that_may_not_be_read_is_a_mistake(inputs, tmp_path, monkeypatch, verb):
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Storage, "open_input", deny)
    ran = tinyaug(*(inputs.augment(tmp_path) if verb == "augment" else (verb, tmp_path)))
    assert ran.code == 2
    assert f"{tmp_path}/run.json: expected a place that may be read, found: Permission denied" in ran.err
