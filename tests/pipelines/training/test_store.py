"""Distillation data in an object store: a server of our own that speaks S3."""

from __future__ import annotations

import pytest

from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import done, everything, tinyaug
from tests.pipelines.run_folder.test_object_store import endpoint, store
from tests.pipelines.training.verbs import distill, metrics, run_json

__all__ = ["endpoint", "store"]

pytestmark = pytest.mark.integration


def test_training_rows_stream_from_a_store_whose_secret_is_kept_nowhere(parts, store, tmp_path):
    uri = store("run/augmented").replace("s3://", "s3://key:swordfish@")
    for path in parts.train.glob("data/*"):
        Storage(uri).write_bytes(f"data/{path.name}", path.read_bytes())
    out, local = tmp_path / "student", tmp_path / "local"
    ran = done(*distill(parts, out, "--train", uri, "--max-steps", 3))
    done(*distill(parts, local, "--max-steps", 3))
    assert (out / "prediction/losses.csv").read_bytes() == (local / "prediction/losses.csv").read_bytes()
    assert metrics(out)["stages"]["intermediate"]["rows"] == 240
    assert "swordfish" not in ran.out + ran.err
    assert not [name for name, content in everything(out).items() if b"swordfish" in content]
    assert "learnt from: s3://bucket/run/augmented\n" in (out / "README.md").read_text()
    told = run_json(out)
    assert told["sources"]["train"] == store("run/augmented")
    assert store("run/augmented") in told["command"]


def test_a_store_that_has_nothing_or_says_no(parts, store, tmp_path, monkeypatch):
    ran = tinyaug(*distill(parts, tmp_path / "s", "--train", store("nothing/here")))
    assert (ran.code, "expected Parquet shards in bucket/nothing/here; found none" in ran.err) == (2, True)
    uri = store("run/augmented").replace("s3://", "s3://key:swordfish@")

    real = Storage.names

    def broken(self, folder: str = "") -> list[str]:
        if self.is_local:
            return real(self, folder)
        raise OSError("When listing: AWS Error NETWORK_CONNECTION during ListObjectsV2 operation")

    monkeypatch.setattr(Storage, "names", broken)
    ran = tinyaug(*distill(parts, tmp_path / "t", "--train", uri))
    assert (ran.code, "it cannot be listed" in ran.err, "swordfish" in ran.err) == (2, True, False)
