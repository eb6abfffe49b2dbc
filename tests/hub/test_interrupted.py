"""Connections that break in the middle of a file: each run gets further, and takes nothing for whole that is not."""

from __future__ import annotations

import pytest

from tests.hub.vectors import NAME

pytestmark = pytest.mark.integration

CHECK = ("augment", "--task", "sst2", "--n", "1", "--out", "run", "--dry-run")


def test_the_next_run_completes_what_broke_off(machine):
    here = machine()
    here.hub.cut = {"train-00000-of-00001.parquet": 700, "model.safetensors": 60_000}
    here.vectors.cut = {f"{NAME}.gz": 500}
    data = here.run(*CHECK)
    del here.hub.cut["train-00000-of-00001.parquet"]
    model = here.run(*CHECK)
    here.hub.cut = {}
    vectors = here.run(*CHECK)
    for ran in (data, model, vectors):
        assert ran.code == 2, ran.text
        assert "Traceback" not in ran.text
        assert "defect" not in ran.text
    assert "nyu-mll/glue (sst2) from the hub or its cache, found: the download from" in data.text
    assert "masked LM bert-base-uncased" in model.text
    assert "did not finish" in model.text
    assert "run the command again" in model.text
    assert "interrupted after 500 of" in vectors.text
    assert "run the command again to go on" in vectors.text
    assert not [*here.folder.rglob("*.incomplete"), *here.folder.rglob("*.gz")]
    left = sorted(path.name for path in (here.folder / "cache/gensim").iterdir())
    assert [path.replace(here.vectors.checksum, "MD5") for path in left] == [f"{NAME}.gz.MD5.part", f"{NAME}.gz.lock"]
    assert not (here.folder / "run").exists()
    here.vectors.cut = {}
    whole = here.run(*CHECK)
    assert whole.code == 0, whole.text
    assert here.vectors.ranges == [f"/{NAME}/{NAME}.gz 500"]
    fetched = [path.rsplit("/", 1)[1] for path in here.hub.asked if path.startswith("GET /cdn/")]
    assert fetched.count("validation-00000-of-00001.parquet") == 1
