"""`tinyaug audit`, beside a plain loop over the rows with transformers alone."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import done, refused, sha256, tinyaug
from tests.pipelines.training.verbs import finetune


@pytest.fixture
def run(parts, tmp_path):
    """A finished augmentation of three shards, to be written into."""
    return shutil.copytree(parts.train.parent, tmp_path / "run")


def audit(run, teacher, *more):
    return ["audit", run, "--teacher", teacher, "--device", "cpu", *more]


def rows_of(run):
    return [row for path in sorted((run / "augmented/data").iterdir()) for row in pq.read_table(path).to_pylist()]


def plain_labels(rows, teacher):
    """Label and probability of each row, one by one."""
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(teacher),
        AutoTokenizer.from_pretrained(teacher),
    )
    with torch.no_grad():
        shares = [model(**tokenizer(row["sentence"], return_tensors="pt")).logits.softmax(-1)[0] for row in rows]
    return [int(share.argmax()) for share in shares], [float(share.max()) for share in shares]


def plain_flips(rows, teacher):
    labels, shares = plain_labels(rows, teacher)
    originals = {row["source_idx"]: label for row, label in zip(rows, labels, strict=True) if row["variant"] == 0}
    flips = [label != originals[row["source_idx"]] for row, label in zip(rows, labels, strict=True)]
    return flips, [originals[row["source_idx"]] for row in rows], shares


def test_all_rows(parts, run, tmp_path):
    told = tmp_path / "audit.json"
    ran = done(*audit(run, parts.teacher, "--all", "--json", told))
    rows = rows_of(run)
    flips, originals, shares = plain_flips(rows, parts.teacher)
    made = [row["variant"] > 0 for row in rows]
    assert 0 < sum(flips) < sum(made)
    found = json.loads(told.read_text())
    assert (found["task"], found["sample"], found["examples"]) == ("sst2", None, 60)
    assert found["variants"] == {"of": 180, "flips": sum(flips), "share": sum(flips) / 180}
    for number, name in enumerate(("negative", "positive")):
        flip = [one for one, is_made, label in zip(flips, made, originals, strict=True) if is_made and label == number]
        assert found["by"]["class"].get(name, {"of": 0}) == pytest.approx(
            {"of": len(flip), "flips": sum(flip), "share": sum(flip) / len(flip)} if flip else {"of": 0}
        )
    number = {row: len(rows[row]["edits"]) for row in range(len(rows))}
    assert sum(one["of"] for one in found["by"]["source"].values()) == sum(number.values())
    assert sum(one["flips"] for one in found["by"]["rank"].values()) == sum(
        number[row] for row in range(len(rows)) if flips[row]
    )
    for least, count in found["flips_with_confidence"].items():
        sure = [flip and share >= float(least) for flip, share in zip(flips, shares, strict=True)]
        assert count == sum(sure)
    assert f"{sum(flips) / 180:.2%} of 180 variants flip ({sum(flips)}), of all examples" in ran.out
    example = found["flipped"][0]
    row = next(
        one for one in rows if [one["source_idx"], one["variant"]] == [example["source_idx"], example["variant"]]
    )
    assert example["texts"] == [row["sentence"]]
    assert example["texts"][0] in ran.out
    assert example["confidence"] == pytest.approx(
        max(s for s, flip in zip(shares, flips, strict=True) if flip), abs=1e-5
    )


def test_what_is_kept_is_made_once(parts, run, tmp_path, monkeypatch):
    command = audit(run, parts.teacher, "--all", "--json", tmp_path / "a.json")
    done(*command)
    kept, first = sorted((run / "augmented/audit").iterdir()), (tmp_path / "a.json").read_text()
    assert [path.name for path in kept] == [f"train-0000{part}-of-00003.parquet" for part in range(3)]
    told = [flip for path in kept for flip in pq.read_table(path).column("flips").to_pylist()]
    assert told == plain_flips(rows_of(run), parts.teacher)[0]
    digests = [sha256(path) for path in kept]
    kept[1].write_bytes(kept[1].read_bytes()[:-9] + b"x" * 9)  # a damaged one is made again, as one that is not there
    monkeypatch.setattr("pipelines.auditing.audit_job.judge_rows", only(kept[1].name))
    done(*command)
    assert [sha256(path) for path in kept] == digests
    assert (tmp_path / "a.json").read_text() == first


def only(name):
    """`judge_rows` for one shard; another one must not be judged."""
    from pipelines.auditing.judgements import judge_rows

    def judged(audited, shard, *more):
        assert shard.name == name
        return judge_rows(audited, shard, *more)

    return judged


def test_a_sample_is_of_whole_examples_and_seeded(parts, run, tmp_path):
    found = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        told = tmp_path / f"{name}.json"
        ran = done(*audit(run, parts.teacher, "--sample", 20, "--seed", seed, "--json", told))
        found[name] = json.loads(told.read_text())
        assert "of a random 20 of 60 examples" in ran.out
    assert found["a"] == found["b"]
    assert found["a"]["by"] != found["c"]["by"]
    assert found["a"]["variants"]["of"] == 20 * 3
    assert not (run / "augmented/audit").exists()


def test_a_picture(parts, run, tmp_path):
    png = tmp_path / "flips.png"
    done(*audit(run, parts.teacher, "--png", png))
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    first = png.read_bytes()
    done(*audit(run, parts.teacher, "--png", png))
    assert png.read_bytes() == first


def test_a_picture_is_a_png(parts, run, tmp_path):
    said = refused(audit(run, parts.teacher, "--png", tmp_path / "flips.pdf"))
    assert "expected a name that ends with .png, found .pdf" in said
    assert not (tmp_path / "flips.pdf").exists()


def test_a_picture_without_matplotlib(parts, run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = refused(audit(run, parts.teacher, "--png", tmp_path / "flips.png"))
    assert "install it with `pip install 'tinyaug[plots]'`" in said


def test_scores(parts, run, tmp_path):
    data = tmp_path / "stsb"
    data.mkdir()
    rows = "".join(f"{text},{row % 5}\n" for row, text in enumerate(one["sentence"] for one in rows_of(run)[:40]))
    for part in ("train", "dev"):
        (data / f"{part}.csv").write_text(f"sentence,stars\n{rows}")
    columns = ("--task", "custom", "--text", "sentence", "--label", "stars", "--label-type", "score")
    teacher, out, told = tmp_path / "t", tmp_path / "scored", tmp_path / "a.json"
    done(*finetune(parts, teacher, *columns, "--data", data, "--max-steps", 2))
    models = ("--mlm", parts.mlm, "--glove", parts.glove, "--engine", "local", "--workers", 1, "--n", 2)
    done("augment", *columns, "--data", data, "--out", out, *models)
    ran = done(*audit(out, teacher, "--json", told))
    assert "of 80 variants flip by more than 1" in ran.out
    assert "class" not in json.loads(told.read_text())["by"]


def test_pairs(parts, pairs_folder, tmp_path):
    task = ("--task", "rte", "--data", pairs_folder)
    done(*finetune(parts, tmp_path / "t", *task, "--max-steps", 8, "--lr", 1e-2))
    models = ("--mlm", parts.mlm, "--glove", parts.glove, "--engine", "local", "--workers", 1, "--n", 6, "--p", 0.9)
    done("augment", *task, "--out", tmp_path / "run", *models)
    ran = done(*audit(tmp_path / "run", tmp_path / "t", "--all", "--json", tmp_path / "a.json"))
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["variants"]["of"] == 120
    for example in found["flipped"]:
        assert len(example["original"]) == len(example["texts"]) == 2
        assert " | ".join(example["texts"]) in ran.out


def test_rows_without_labels_take_the_names_of_the_teacher(parts, tmp_path):
    data = tmp_path / "texts.csv"
    data.write_text("text\n" + "".join(f"the film is number {row} and quite good\n" for row in range(6)))
    models = ("--mlm", parts.mlm, "--glove", parts.glove, "--engine", "local", "--workers", 1, "--n", 2)
    done("augment", "--task", "custom", "--text", "text", "--data", data, "--out", tmp_path / "run", *models)
    done(*audit(tmp_path / "run", parts.teacher, "--json", tmp_path / "a.json"))
    assert set(json.loads((tmp_path / "a.json").read_text())["by"]["class"]) <= {"negative", "positive"}


def test_what_cannot_be_audited(parts, run, tmp_path):
    assert "expected the run directory of a `tinyaug augment`" in refused(audit(parts.teacher, parts.teacher))
    assert "expected a model folder" in refused(audit(run, tmp_path / "nothing"))
    assert "found no task head" in refused(audit(run, parts.encoder))
    assert "--seed: expected a number of at least 0" in refused(audit(run, parts.teacher, "--seed", -1))
    assert "expected no --all beside it" in refused(audit(run, parts.teacher, "--all", "--sample", 3))
    config = json.loads((parts.teacher / "config.json").read_text())
    other = shutil.copytree(parts.teacher, tmp_path / "other")
    config["id2label"], config["label2id"] = {"0": "spam", "1": "ham"}, {"spam": 0, "ham": 1}
    (other / "config.json").write_text(json.dumps(config))
    assert "spam, ham" in refused(audit(run, other))
    with only_writer(Storage(str(run))):
        assert refused(audit(run, parts.teacher, "--all")).endswith("at work on it; wait for it")
    shard = sorted((run / "augmented/data").iterdir())[1]
    whole = shard.read_bytes()
    shard.write_bytes(b"x" * len(whole))
    assert f"rows of {shard}; it cannot be read" in refused(audit(run, parts.teacher))
    shard.write_bytes(whole[:-1])
    assert f"1 of 3 shards missing or damaged (augmented/data/{shard.name})" in refused(audit(run, parts.teacher))
    (run / "augmented/manifest.json").unlink()
    assert "expected a finished augmentation, found no manifest" in refused(audit(run, parts.teacher))
    assert tinyaug("audit", "--teacher", parts.teacher).code == 2


def test_originals_alone_are_not_audited(parts, run, tmp_path):
    manifest = json.loads((run / "augmented/manifest.json").read_text())
    for path, one in zip(sorted((run / "augmented/data").iterdir()), manifest["shards"], strict=True):
        table = pq.read_table(path)
        pq.write_table(table.filter(pc.equal(table["variant"], 0)), path)
        one["bytes"] = path.stat().st_size
    (run / "augmented/manifest.json").write_text(json.dumps(manifest))
    said = refused(audit(run, parts.teacher, "--png", tmp_path / "flips.png"))
    assert "expected variants to audit, found 60 originals and no variant" in said
    assert not (tmp_path / "flips.png").exists()


def test_rows_that_were_moved(parts, run):
    path = sorted((run / "augmented/data").iterdir())[0]
    table = pq.read_table(path)
    pq.write_table(table.take(pa.array(np.arange(table.num_rows)[::-1])), path)
    manifest = json.loads((run / "augmented/manifest.json").read_text())
    manifest["shards"][0]["bytes"] = path.stat().st_size
    (run / "augmented/manifest.json").write_text(json.dumps(manifest))
    assert f"{path.name}, row 0: expected the variants" in refused(audit(run, parts.teacher))
