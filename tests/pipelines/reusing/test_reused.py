"""Candidates of texts that did not change are taken from an earlier run, and the bytes are those of a fresh one.

Each masked copy is a batch of its own here (--batch-tokens 1): else the last digit of a score depends on the copies
beside it, which are others in a fresh run.
"""

from __future__ import annotations

import json
import shutil
import sys

import pyarrow.parquet as pq
import pytest

from augment.similar import SimilarWords
from pipelines.augmenting import distinct_words
from pipelines.reusing import earlier_run
from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import (
    contents,
    done,
    kill,
    manifest,
    records,
    refused,
    sentences,
    start,
    tinyaug,
    wait_for,
    write_sst2,
)

OLD = list(dict.fromkeys(sentences(48, seed=5)))
NEW = ["a quick cat sat on the cinema", *OLD[:20], "the dull film is movies .", *OLD[21:-1]]  # one more, one edited
ALONE = ("--batch-tokens", 1, "--part-tokens", 1000, "--shard-rows", 16, "--protect", "film", "--max-words", 14)
WORK = {"masked_words", "masked_copies", "mlm_tokens"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The rows before and after, with one that is too long in both."""
    folder, long = tmp_path_factory.mktemp("data"), "a film " * 8
    return {name: write_sst2(folder / name, [*texts, long], OLD[:2]) for name, texts in (("old", OLD), ("new", NEW))}


@pytest.fixture(scope="module")
def command(inputs, folders):
    def of(data: str, out: object, *more: object) -> list[str]:
        return inputs.augment(out, "--data", folders[data], *ALONE, "--allow-rejects", *more)

    return of


@pytest.fixture(scope="module")
def runs(command, tmp_path_factory):
    """A finished run of the old rows and one of the new rows; look, don't touch."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("old", "new"):
        done(*command(name, folder / name))
    return folder


def shards(run):
    """What a run found and drew: all but the records, which count the work."""
    return {name: digest for name, digest in contents(run).items() if name.endswith(".parquet")}


def counts(run):
    """Of the candidates, but for the masked LM's work."""
    found = manifest(run, "candidates")["counts"]
    return {name: count for name, count in found.items() if name not in {*WORK, "reused_texts"}}


def check(run, runs):
    """Its bytes are those of a fresh run, and the masked LM read the two new texts alone."""
    assert shards(run) == shards(runs / "new")
    assert len(records(run, "candidates")) > 3
    assert counts(run) == counts(runs / "new")
    told = manifest(run, "candidates")
    assert told["counts"]["reused_texts"] == len(NEW) - 2
    assert told["counts"]["masked_words"] == 5 + 3  # a quick cat on the, the dull is
    assert told["protected"] == manifest(runs / "new", "candidates")["protected"]
    assert not (run / ".previous").exists()


def test_another_run_is_named(command, runs, tmp_path):
    ran = done(*command("new", tmp_path / "run", "--reuse", runs / "old"))
    check(tmp_path / "run", runs)
    assert f"candidates of {len(NEW) - 2} of the unique texts" in ran.out
    assert "everything was done already" in done(*command("new", tmp_path / "run")).out
    done(*command("new", tmp_path / "again", "--reuse", tmp_path / "run"))  # of all texts but the long one
    assert shards(tmp_path / "again") == shards(runs / "new")
    assert manifest(tmp_path / "again", "candidates")["counts"]["reused_texts"] == len(NEW)


def test_a_run_that_is_overwritten(command, runs, tmp_path):
    run = shutil.copytree(runs / "old", tmp_path / "run")
    changed = refused(command("new", run))
    assert "found other content of the input file train.tsv (" in changed
    assert "or --overwrite, which keeps the candidates of texts that did not change" in changed
    before = contents(run)
    plan = done(*command("new", run, "--overwrite", "--dry-run")).out
    assert f"candidates of {len(NEW) - 1}, found before" in plan  # that of the long text is an error, found anew
    assert "8 in 8 copies" in plan
    assert contents(run) == before
    done(*command("new", run, "--overwrite"))
    check(run, runs)
    assert "not reused: found other --k: 20 there, 5 now" in done(*command("new", run, "--overwrite", "--k", 5)).err
    assert "reused_texts" not in manifest(run, "candidates")["counts"]
    done(*command("new", run, "--overwrite", "--k", 5, "--reuse", "none"))
    assert manifest(run, "candidates")["counts"]["masked_words"] > 100


@pytest.mark.parametrize("moves", [0, 1, 2])  # all that there are
@pytest.mark.parametrize("overwrite", [True, False])
def test_stopped_while_it_sets_aside(command, runs, tmp_path, monkeypatch, moves, overwrite):
    """After some of the folders were moved; the next command finds all of them, and one of the old rows its run."""
    run, moved = shutil.copytree(runs / "old", tmp_path / "run"), []
    move = earlier_run.os.replace

    def stopping(source, target):
        if "/.previous/" in str(target) and "/.partial/" not in str(source):
            if len(moved) == moves:
                raise SystemExit(9)
            moved.append(target)
        move(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(earlier_run.os, "replace", stopping)
        patched.setattr(Storage, "remove_all", lambda _: sys.exit(9))
        assert tinyaug(*command("new", run, "--overwrite")).code == 9
    if overwrite:
        done(*command("new", run, "--overwrite"))
        check(run, runs)
    else:
        assert "everything was done already" in done(*command("old", run)).out


@pytest.mark.integration
def test_killed_and_gone_on_with(command, runs, tmp_path):
    run = shutil.copytree(runs / "old", tmp_path / "run")
    process = start(*command("new", run, "--overwrite"))
    wait_for(lambda: (run / ".previous/input").exists() and [*(run / "candidates").rglob("*.json")], process)
    kill(process)
    assert (run / ".previous/candidates").exists()
    assert "found other --reuse: .previous there" in refused(command("new", run, "--reuse", str(runs / "old")))
    done(*command("new", run))
    check(run, runs)


@pytest.mark.parametrize("mistake", ["row", "counts"])
def test_a_mistake_deletes_nothing(command, runs, folders, tmp_path, mistake):
    """One that only reading the input shows."""
    run, data = shutil.copytree(runs / "old", tmp_path / "run"), shutil.copytree(folders["new"], tmp_path / "data")
    before = contents(run)
    if mistake == "row":
        (data / "train.tsv").write_text((data / "train.tsv").read_text() + "no label\n")
    more = ("--balance", "--n", 10_000) if mistake == "counts" else ()
    refused(command("new", run, "--overwrite", "--data", data, *more))
    assert contents(run) == before
    assert "everything was done already" in done(*command("old", run)).out
    done(*command("new", run, "--overwrite"))
    check(run, runs)


def test_overwritten_again_after_a_kill(command, runs, tmp_path):
    """What the first run had counts, not what the killed one had taken of it by then."""
    run = shutil.copytree(runs / "old", tmp_path / "run")
    done(*command("new", run, "--overwrite"))
    for name in ("candidates", "neighbours", "input", "run.json"):  # as a command leaves them that is killed here
        whole = shutil.copytree if (runs / "old" / name).is_dir() else shutil.copy
        (run / ".previous").mkdir(exist_ok=True)
        if (runs / "old" / name).exists():
            whole(runs / "old" / name, run / ".previous" / name)
    (run / "candidates/manifest.json").unlink()
    for path in [*(run / "candidates/records").iterdir()][1:]:
        path.unlink()
    shutil.rmtree(run / "augmented")
    done(*command("new", run, "--overwrite"))
    check(run, runs)


def test_neighbours_are_reused(command, inputs, folders, tmp_path, monkeypatch):
    monkeypatch.setattr(distinct_words, "LEAST_WORDS", 1)
    for name in ("old", "new"):
        done(*command(name, tmp_path / name))
    searched, search = [], SimilarWords._search

    def seen(words, vectors, some):
        searched.extend(some)
        return search(words, vectors, some)

    monkeypatch.setattr(SimilarWords, "_search", seen)
    done(*command("new", tmp_path / "reused", "--reuse", tmp_path / "old"))
    table = [pq.read_table(tmp_path / name / "neighbours/data") for name in ("old", "new", "reused")]
    assert set(searched) == set(table[1]["word"].to_pylist()) - set(table[0]["word"].to_pylist())
    assert table[2].equals(table[1])


def test_a_text_with_another_partner_is_not_the_same(inputs, pairs_folder, tmp_path):
    data = shutil.copytree(pairs_folder, tmp_path / "RTE")
    asked = ("--task", "rte", "--data", data, "--pair-context")
    done(*inputs.augment(tmp_path / "old", *asked))
    lines = (data / "train.tsv").read_text().splitlines()
    first, second = lines[1].split("\t"), lines[2].split("\t")
    first[2], second[2] = second[2], first[2]
    (data / "train.tsv").write_text("\n".join([lines[0], "\t".join(first), "\t".join(second), *lines[3:], ""]))
    done(
        *inputs.augment(
            tmp_path / "new", "--task", "rte", "--data", data, "--pair-context", "--reuse", tmp_path / "old"
        )
    )
    told = manifest(tmp_path / "new", "candidates")["counts"]
    assert told["texts"] - told["reused_texts"] == 4


def test_refused(command, runs, tmp_path):
    out = tmp_path / "run"
    drawn = ("--candidates", runs / "old", "--out", tmp_path / "drawn", "--seed", 1)
    done("resample", *drawn, "--allow-rejects", "--engine", "local")
    for reuse, more, said in (
        (runs / "old", ("--k", 5), "same settings, models and software, found other --k: 20 there, 5 now"),
        (runs / "none", (), "found no run.json there"),
        (tmp_path / "drawn", (), f"found one that was drawn from {runs / 'old'}: name that one"),
    ):
        assert said in refused(command("new", out, "--reuse", str(reuse), *more))
        assert not out.exists()


def test_parts_of_other_hardware_are_not_reused(command, runs, tmp_path):
    old = shutil.copytree(runs / "old", tmp_path / "old")
    for path in records(old, "candidates")[1:]:
        path.write_text(json.dumps({**json.loads(path.read_text()), "hardware": "another machine"}))
    done(*command("new", tmp_path / "run", "--reuse", old))
    assert shards(tmp_path / "run") == shards(runs / "new")
    assert 0 < manifest(tmp_path / "run", "candidates")["counts"]["reused_texts"] < len(NEW) / 2
