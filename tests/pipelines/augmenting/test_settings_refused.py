"""A run goes on with its own settings alone, and in its own directory alone."""

from __future__ import annotations

import json
import shutil
from importlib import metadata

import pytest

from pipelines.augmenting.models import require_same_software
from pipelines.augmenting.run_file import read_run
from pipelines.augmenting.stages import Stage
from pipelines.errors import UserError
from pipelines.run_folder.storage import Storage
from tests.fixtures import save_tiny_masked_lm
from tests.pipelines.jobs import ONE_WORKER, Inputs, augment, done, everything, tinyaug

TEN = ("--shard-rows", 10)


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the finished run."""
    return shutil.copytree(finished, tmp_path / "run")


def untouched(folder, before: dict[str, bytes]) -> bool:
    """Nothing differs but the lock, which names the last process that asked for it."""
    after = everything(folder)
    return {**after, ".lock": b""} == {**before, ".lock": b""}


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--seed", 7), "--seed: 42 there, 7 now"),
        (("--n", 4), "--n: 3 there, 4 now"),
        (("--k", 5), "--k: 20 there, 5 now"),
        (("--mask-spacing", 8), "--mask-spacing: 0 there, 8 now"),
        (("--shard-rows", 11), "--shard-rows: 10 there, 11 now"),
        (("--limit", 20), "--limit: null there, 20 now"),
        (("--threads", 2), "--threads: 1 there, 2 now"),
        (("--drop-leaks",), "--drop-leaks: false there, true now"),
        (("--glove", "none"), "other --glove: "),
        (("--protect", "film"), '--protect: [] there, ["film"] now'),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_other_settings_are_refused_by_name(inputs, run, more, named):
    before = everything(run)
    ran = tinyaug(*inputs.augment(run, *TEN, *more))
    assert ran.code == 2
    assert named in ran.err
    assert untouched(run, before)


def test_another_model_is_refused(inputs, run, tmp_path):
    other = Inputs(inputs.data, save_tiny_masked_lm(tmp_path / "other", seed=1), inputs.glove)
    ran = tinyaug(*other.augment(run, *TEN))
    assert (ran.code, "other --mlm: " in ran.err) == (2, True)


@pytest.mark.parametrize("part", ["train", "dev"])
def test_changed_input_is_refused(inputs, run, tmp_path, part):
    data = shutil.copytree(inputs.data, tmp_path / "data")
    with (data / f"{part}.tsv").open("a") as stream:
        stream.write("one more\t1\n")
    ran = tinyaug(*augment(inputs, data, run, "--task", "sst2", *TEN))
    assert (ran.code, f"content of the input file {part}.tsv" in ran.err) == (2, True)


def test_workers_and_places_are_no_settings(inputs, run, tmp_path):
    moved = shutil.copytree(inputs.data, tmp_path / "elsewhere" / "SST-2")
    done(*augment(inputs, moved, run, "--task", "sst2", *TEN, "--workers", 2, "--verify"))


def test_other_software_matters_only_while_shards_are_left(inputs, run):
    told = json.loads((run / "run.json").read_text())
    told["identity"]["versions"]["torch"] = "1.0"
    (run / "run.json").write_text(json.dumps(told))
    (run / "augmented/manifest.json").unlink()
    ran = tinyaug("status", run)  # hashes cover versions: its shards were made with others than run.json says
    assert ran.code == 1
    ran = tinyaug(*inputs.augment(run, *TEN))
    assert (ran.code, 'versions.torch: "1.0" there' in ran.err) == (2, True)


def test_other_linear_layers_are_refused_while_shards_are_left(inputs, run, monkeypatch):
    """oneDNN's and torch's own differ in the last bits: a run keeps to one of them on every machine."""
    here = json.loads((run / "run.json").read_text())["identity"]["versions"]["linear_layers"]
    other = {"torch": "onednn-packed", "onednn-packed": "torch"}[here]
    monkeypatch.setattr("augment.packed_linear._can_pack", lambda _: other == "onednn-packed")
    done(*inputs.augment(run, *TEN))  # nothing is left to make
    next((run / "candidates/records").iterdir()).unlink()
    ran = tinyaug(*inputs.augment(run, *TEN))
    assert (ran.code, f'versions.linear_layers: "{here}" there, "{other}" now' in ran.err) == (2, True)


def test_a_worker_with_other_linear_layers_is_refused(inputs, run, monkeypatch):
    identity = read_run(Storage(str(run))).identity
    require_same_software(identity, computes=True)
    monkeypatch.setattr("augment.packed_linear.linear_kernel", lambda *_: "another")
    with pytest.raises(UserError, match=r"worker on .*linear_layers: .*\"another\" now"):
        require_same_software(identity, computes=True)


def test_shards_that_only_verify_finds_damaged_are_not_made_with_other_software(inputs, run, monkeypatch):
    path = next((run / "augmented/data").iterdir())
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\0")  # as long as before
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.0" if name == "torch" else real(name))
    done(*inputs.augment(run, *TEN))  # by size there is nothing left to make
    ran = tinyaug(*inputs.augment(run, *TEN, "--verify"))
    assert (ran.code, "versions.torch: " in ran.err) == (2, True)
    source = shutil.copytree(run, run.parent / "source")
    monkeypatch.undo()
    drawing = ("resample", "--candidates", source, "--out", run.parent / "drawn", *ONE_WORKER)
    done(*drawing)
    path = next((run.parent / "drawn/augmented/data").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    monkeypatch.setattr(metadata, "version", lambda name: "1.0" if name == "torch" else real(name))
    ran = tinyaug(*drawing, "--verify")
    assert (ran.code, "versions.torch: " in ran.err) == (2, True)


@pytest.mark.parametrize("stage", ["candidates", "augmented"])
def test_a_worker_with_other_software_is_refused(inputs, tmp_path, monkeypatch, stage):
    """As on a node of a cluster: what the command was given on is not what the worker has."""
    make, real = Stage.make_worker, metadata.version

    def elsewhere(given):
        with pytest.MonkeyPatch.context() as patch:
            if given.name == stage:
                patch.setattr(metadata, "version", lambda name: "1.0" if name == "pyarrow" else real(name))
            return make(given)

    monkeypatch.setattr(Stage, "make_worker", elsewhere)
    ran = tinyaug(*inputs.augment(tmp_path / "run"))
    assert ran.code == 2
    assert "worker on" in ran.err
    assert f'pyarrow: "{real("pyarrow")}" there, "1.0" now; install the same versions' in ran.err


@pytest.mark.parametrize("more", [(), ("--overwrite",)], ids=["plain", "overwrite"])
@pytest.mark.parametrize(
    ("name", "content"),
    [("thesis.tex", "my life's work"), ("run.json", "{}"), ("run.json", '{"epochs": 3}'), ("run.json", "not JSON")],
)
def test_a_directory_of_something_else_is_left_alone(inputs, tmp_path, more, name, content):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name).write_text(content)
    ran = tinyaug(*inputs.augment(folder, *more))
    assert ran.code == 2
    assert str(folder) in ran.err
    assert everything(folder) == {name: content.encode()}


@pytest.mark.parametrize("more", [(), ("--overwrite",)], ids=["plain", "overwrite"])
def test_resample_leaves_it_alone_too(finished, tmp_path, more):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "run.json").write_text('{"epochs": 3}')
    assert tinyaug("resample", "--candidates", finished, "--out", folder, *more).code == 2
    assert everything(folder) == {"run.json": b'{"epochs": 3}'}


def test_overwrite_starts_afresh(inputs, run):
    (run / "report.html").write_text("of the old run")
    done(*inputs.augment(run, "--seed", 7, "--overwrite"))
    assert not (run / "report.html").exists()
    assert json.loads((run / "run.json").read_text())["identity"]["settings"]["draw"]["seed"] == 7
    done(*inputs.augment(run, "--seed", 7))


def test_overwrite_with_a_mistake_deletes_nothing(inputs, run):
    before = everything(run)
    assert tinyaug(*inputs.augment(run, "--overwrite", "--mlm", "/nowhere")).code == 2
    assert everything(run) == before
