"""`tinyaug distill-general` where an earlier start left something: a packed corpus, a finished run, checkpoints."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.pipelines.jobs import done, everything, identities, refused, sentences, tinyaug
from tests.pipelines.training.general import MASKED, counts
from tests.pipelines.training.verbs import distill, finetune, general, run_json

SMALL = ("--cache", "full", "--cache-budget", "1K")
SAID = "everything was done already"
PROJECTED = ("--embedding-init", "projected")


def shards(out):
    return {*out.glob("corpus/*.parquet")}


def test_a_corpus_that_is_packed_outlives_a_refusal(parts, corpus, tmp_path):
    """The command goes on with it when it does what it was told to; what the corpus hangs on must be the same."""
    out = tmp_path / "out"
    assert "--cache full: expected a cache within 1.0 kB" in refused(general(parts, corpus, out, *SMALL))
    before = identities(shards(out))
    assert before
    assert "resolved" not in run_json(out)
    assert "--max-length: 32 there, 16 now" in refused(general(parts, corpus, out, "--max-length", 16))
    assert "--limit" in refused(general(parts, corpus, out, "--limit", 9, "--dry-run"))
    other = ("--cache", "off", "--max-steps", 2)
    assert "nothing was written" in done(*general(parts, corpus, out, *other, "--dry-run")).out
    done(*general(parts, corpus, out, *other))
    assert identities(shards(out)) == before
    assert run_json(out)["settings"]["cache"]["mode"] == "off"
    done(*general(parts, corpus, tmp_path / "afresh", *other))
    for name in ("model.safetensors", "general/losses.csv"):
        assert (out / name).read_bytes() == (tmp_path / "afresh" / name).read_bytes()


def test_a_long_corpus_is_refused_by_its_beginning(parts, corpus, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr("pipelines.general.sequences.GROUP_SEQUENCES", 30)
    monkeypatch.setattr("distill.packing.BATCH_CHARACTERS", 200)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.general.corpus_job.pack_corpus", lambda *_: 1 / 0)
        assert "--cache full: expected a cache within 1.0 kB" in refused(general(parts, corpus, out, *SMALL))
    assert not out.exists() or [path.name for path in out.iterdir()] == [".lock"]
    done(*general(parts, corpus, out, "--cache", "full", "--max-steps", 1))


def test_a_mistake_in_the_corpus_undoes_the_folder(parts, tmp_path):
    (tmp_path / "corpus.txt").write_bytes(b"a film\n" * 9000 + b"caf\xe9\n")
    assert "line 9001" in refused(general(parts, tmp_path / "corpus.txt", tmp_path / "out"))
    assert not (tmp_path / "out/run.json").exists()


def test_a_plan_of_what_is_done(parts, corpus, masked, tmp_path, monkeypatch):
    command = general(parts, corpus, masked, *MASKED, *PROJECTED, "--dry-run")
    before = everything(masked)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.general.sequences.pack_corpus", lambda *_: 1 / 0)
        said = done(*command).out
    assert SAID in said
    assert "done already" in said.split("general ")[1]
    assert "disk: caches 0 B\n" in said
    assert counts(masked) in said
    assert everything(masked) == before
    assert '--embedding-init: "projected" there, "random" now' in refused(
        general(parts, corpus, masked, *MASKED, "--dry-run")
    )
    assert SAID not in done(*general(parts, corpus, masked, "--overwrite", "--dry-run")).out


def test_a_plan_keeps_the_decision_on_the_cache(parts, corpus, tmp_path):
    out = tmp_path / "out"
    done(*general(parts, corpus, out, "--cache", "full", "--epochs", 1))
    (out / "metrics.json").unlink()
    content = run_json(out)
    content["resolved"]["cache"]["words"] = "teacher cache: as it was decided"
    (out / "run.json").write_text(json.dumps(content))
    said = done(*general(parts, corpus, out, "--cache", "full", "--epochs", 1, "--dry-run")).out
    assert "teacher cache: as it was decided" in said
    assert SAID not in said
    assert "disk: caches 0 B, " in said


@pytest.mark.parametrize("verb", ["finetune", "distill", "general"])
def test_checkpoints_that_a_kill_left_are_removed(parts, corpus, masked, tmp_path, verb):
    out = tmp_path / "out"
    if verb == "general":
        shutil.copytree(masked, out)
        command, stages = general(parts, corpus, out, *MASKED, *PROJECTED), ("general",)
    elif verb == "finetune":
        shutil.copytree(parts.teacher, out)
        command, stages = finetune(parts, out, "--epochs", 2, "--lr", 1e-3), ("labels",)
    else:
        command, stages = distill(parts, out, "--max-steps", 1), ("intermediate", "prediction")
        done(*command)
    left = [out / stage / "step-00000001" for stage in stages]
    for folder in left:
        folder.mkdir()
        (folder / "weights").touch()
    assert SAID in done(*command).out
    assert not any(folder.exists() for folder in left)


def test_checkpoints_of_a_first_stage_that_is_done(parts, tmp_path):
    command = distill(parts, tmp_path, "--max-steps", 1)
    done(*command)
    (tmp_path / "metrics.json").unlink()
    left = tmp_path / "intermediate/step-00000001"
    left.mkdir()
    done(*command)
    assert not left.exists()


def test_rows_that_are_sentences_fill_the_sequences(parts, tmp_path):
    """As documents they do not, which is said; what they are is part of the run."""
    texts = [text if number % 20 else "" for number, text in enumerate(sentences(200, seed=5))]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (tmp_path / "lines.txt").write_text("\n".join(texts))
    (tmp_path / "apart.txt").write_text("\n\n".join(texts))
    few, rows = ("--max-length", 64, "--max-steps", 1), tmp_path / "rows.jsonl"
    alone = tinyaug(*general(parts, rows, tmp_path / "alone", *few))
    assert "each row is a document: if rows are sentences, give --rows sentences" in alone.err
    apart = tinyaug(*general(parts, tmp_path / "apart.txt", tmp_path / "apart", *few, "--dry-run"))
    assert "a document ends at each blank line" in apart.out
    together = done(*general(parts, rows, tmp_path / "together", *few, "--rows", "sentences"))
    assert "on average" not in together.err
    done(*general(parts, tmp_path / "lines.txt", tmp_path / "lines", *few))
    shard = "corpus/part-00000.parquet"
    assert (tmp_path / "together" / shard).read_bytes() == (tmp_path / "lines" / shard).read_bytes()
    other = refused(general(parts, rows, tmp_path / "together", *few))
    assert '--rows (in `run`: --corpus-rows): "sentences" there, "documents" now' in other
    said = refused(general(parts, tmp_path / "lines.txt", tmp_path / "none", *few, "--rows", "sentences"))
    assert "--rows sentences: expected JSON lines" in said
