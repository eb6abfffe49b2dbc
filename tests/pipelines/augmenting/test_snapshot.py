"""The input snapshot has the same bytes, and faults are told alike, however many cores read it."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from itertools import count
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from pipelines.augmenting import snapshot
from pipelines.augmenting.settings import Identity, JobSettings
from pipelines.augmenting.snapshot import RECORD, ROWS, TEXTS, WORDS, write_snapshot
from pipelines.augmenting.stages import Job
from pipelines.errors import UserError
from pipelines.tasks import CustomOptions, open_task
from pipelines.tasks.readers import feed
from pipelines.tasks.task import stop_at_bad_row

if TYPE_CHECKING:
    from pathlib import Path

LOT, GOOD = 32, 1200
BAD = {".csv": "a,b,c,d\n", ".jsonl": '{"text": null}\n'}
BY_ROWS = "row by row"
INCH = 'a 5" film'  # unquoted, its mark seems to begin a field: two of them, to be one row with those between them


def lines(suffix: str, bad: tuple[int, ...]) -> list[str]:
    """Rows of which every third repeats the text of one that may be many lots before it; bad ones at some places."""
    texts: list[str] = []
    for row in range(GOOD):
        texts.append(texts[row // 3] if row and row % 3 == 0 else f'film {row} of, "{row % 7}"\nnaïve')
    texts[500], texts[511] = INCH, f"{INCH}s"
    labels = ["pos" if row % 4 else "neg" for row in range(GOOD)]
    if suffix == ".csv":
        fields = [text if text.startswith(INCH) else '"' + text.replace('"', '""') + '"' for text in texts]
        found = ["text,label\n", *(f"{field},{label}\n" for field, label in zip(fields, labels, strict=True))]
    else:
        rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
        found = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    for place in bad:
        found.insert(place, BAD[suffix])
    return found


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes the snapshot of a file with so many cores; gives digests of what was written, rejects and the folder."""
    monkeypatch.setattr(snapshot, "ROWS_AT_ONCE", LOT)
    monkeypatch.setattr("pipelines.augmenting.distinct_words.LEAST_WORDS", 1)
    number = count()

    def write(path: Path, cores: int | str, stop: bool = False):
        with monkeypatch.context() as patch:
            patch.setattr(feed, "usable_cores", lambda: 1 if cores == BY_ROWS else cores)
            if cores == BY_ROWS:
                patch.setattr(feed, "_by_columns", lambda *_: None)
            bad, out = [], tmp_path / f"out-{next(number)}"
            on_bad = stop_at_bad_row if stop else bad.append
            opened = open_task("custom", path, CustomOptions(("text",), "label"), on_bad=on_bad)
            job = Job(str(out), str(out), Identity(opened.task, [], JobSettings(), {}, {}), "", glove="vectors")
            found = write_snapshot(job, opened, bad)
        names = (ROWS, TEXTS, WORDS, RECORD)
        return [hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names], found, out

    return write


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_the_bytes_are_those_of_one_core(tmp_path, written, suffix):
    places = (5, 300, 301, 700, 1190)
    path = tmp_path / f"train{suffix}"
    path.write_text("".join(lines(suffix, places)), encoding="utf-8")
    expected, found, out = written(path, 1)
    for cores in (2, 5, BY_ROWS):
        assert written(path, cores)[0] == expected, cores
    first = suffix == ".csv"  # whose header is no row
    assert [reject["source_idx"] for reject in found.rejects] == [place - first for place in places]
    assert (found.rows, found.texts) == (GOOD, 801)
    assert found.file_rows == {path.name: GOOD + len(places)}
    texts = pq.read_table(out / TEXTS)["text"].to_pylist()
    assert texts[:2] == ['film 0 of, "0"\nnaïve', 'film 1 of, "1"\nnaïve']
    numbers = pq.read_table(out / ROWS, columns=["__texts", "text"]).to_pylist()
    assert [texts[row["__texts"][0]] for row in numbers] == [row["text"] for row in numbers]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_what_comes_first_in_the_file_is_told_first(tmp_path, written, suffix):
    """A bad row is read while damage behind it was found already."""
    content, whole = "".join(lines(suffix, (1100,))).encode(), tmp_path / f"train{suffix}.gz"
    whole.write_bytes(gzip.compress(content))
    cut = tmp_path / f"cut{suffix}.gz"
    cut.write_bytes(gzip.compress(content) + gzip.compress(b"more\n")[:-4])
    before = threading.active_count()
    for path in (whole, cut):
        with pytest.raises(UserError) as expected:
            written(path, BY_ROWS, stop=True)
        for cores in (1, 2, 5):
            with pytest.raises(UserError) as told:
                written(path, cores, stop=True)
            assert str(told.value) == str(expected.value), cores
    del expected, told
    assert threading.active_count() == before
