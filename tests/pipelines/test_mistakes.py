"""Mistakes of the user's: one line that names what was expected, exit 2, and nothing is written."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.storage import Storage
from tests.fixtures import save_tiny_masked_lm
from tests.pipelines.jobs import in_a_process, tinyaug


def refused(tmp_path, *arguments: object) -> str:
    """What is said; the run directory must not come to be."""
    ran = tinyaug(*arguments)
    assert ran.code == 2, ran.err
    *progress, line = ran.err.strip().splitlines()
    assert all("converting to the memory-mapped form" in said for said in progress)
    assert line.startswith("tinyaug: error: ")
    assert not (tmp_path / "run").exists()
    return line


@pytest.fixture
def model(tmp_path):
    """A model folder to break."""
    return save_tiny_masked_lm(tmp_path / "model")


def edit_json(path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/model", "a/b/c"])
def test_missing_model(inputs, tmp_path, name):
    assert f"no folder '{name}'" in refused(tmp_path, *inputs.augment(tmp_path / "run", "--mlm", name))


def test_model_without_a_mask_token(inputs, tmp_path, model):
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    del tokenizer["model"]["vocab"]["[MASK]"]
    tokenizer["added_tokens"] = [one for one in tokenizer["added_tokens"] if one["content"] != "[MASK]"]
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    said = refused(tmp_path, *inputs.augment(tmp_path / "run", "--mlm", model))
    assert "expected a tokenizer with a mask token such as [MASK], found none" in said


def test_slow_tokenizer_alone(inputs, tmp_path, model):
    (model / "tokenizer.json").unlink()
    (model / "spiece.model").write_bytes(b"")
    edit_json(model / "config.json", model_type="albert")
    said = refused(tmp_path, *inputs.augment(tmp_path / "run", "--mlm", model))
    assert "expected a fast tokenizer (tokenizer.json, or vocab.txt of a BERT), found none" in said


def test_bpe_that_is_not_byte_level(inputs, tmp_path, model):
    tokenizer = {"model": {"type": "BPE", "vocab": {"<mask>": 0}}, "added_tokens": []}
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    said = refused(tmp_path, *inputs.augment(tmp_path / "run", "--mlm", model))
    assert "expected a tokenizer of the kind WordPiece or byte-level BPE or SentencePiece, found BPE" in said


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_model_folder_with_a_file_missing(inputs, tmp_path, model, name):
    (model / name).unlink()
    assert name in refused(tmp_path, *inputs.augment(tmp_path / "run", "--mlm", model))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_model_folder_with_a_broken_file(inputs, tmp_path, model, name):
    (model / name).write_text('{"half')
    assert f"{name} cannot be read" in refused(tmp_path, *inputs.augment(tmp_path / "run", "--mlm", model))


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04pickle", b"word one two\n", b"word 1 2\nother 1\n", b"\xff\xfe\x00"]
)
def test_vectors_of_another_format(inputs, tmp_path, content):
    (tmp_path / "vectors.txt").write_bytes(content)
    said = refused(tmp_path, *inputs.augment(tmp_path / "run", "--glove", tmp_path / "vectors.txt"))
    assert "vectors.txt" in said


def test_missing_vectors(inputs, tmp_path):
    assert "no such file" in refused(tmp_path, *inputs.augment(tmp_path / "run", "--glove", "/nowhere/glove.txt"))


def test_unknown_task_with_a_guess(inputs, tmp_path):
    said = refused(tmp_path, *inputs.augment(tmp_path / "run", "--task", "sst3"))
    assert "sst2" in said


def test_missing_data(inputs, tmp_path):
    assert "/nowhere/data" in refused(tmp_path, *inputs.augment(tmp_path / "run", "--data", "/nowhere/data"))
    (tmp_path / "empty").mkdir()
    assert "train.tsv" in refused(tmp_path, *inputs.augment(tmp_path / "run", "--data", tmp_path / "empty"))


def test_missing_columns(inputs, tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("title,stars\na film,1\n")
    said = refused(tmp_path, *inputs.custom(data, tmp_path / "run"))
    assert "'text'" in said
    assert "title, stars" in said


def test_custom_task_without_columns(inputs, tmp_path):
    said = refused(tmp_path, *inputs.augment(tmp_path / "run", "--task", "custom"))
    assert "--text" in said


@pytest.mark.parametrize("verb", ["augment", "resample"])
def test_output_that_cannot_be_written(inputs, finished, tmp_path, verb):
    (tmp_path / "file").write_text("a file")
    out = tmp_path / "file" / "run"
    arguments = inputs.augment(out) if verb == "augment" else ["resample", "--candidates", finished, "--out", out]
    assert f"--out {out}: expected a directory" in refused(tmp_path, *arguments)
    assert (tmp_path / "file").read_text() == "a file"


def test_output_that_is_a_file(inputs, tmp_path):
    (tmp_path / "file").write_text("a file")
    assert str(tmp_path / "file") in refused(tmp_path, *inputs.augment(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "a file"


@pytest.mark.parametrize("uri", ["nowhere://bucket/run", "s3:///run", "gs:/x://"])
def test_output_at_an_address_nobody_knows(inputs, tmp_path, uri):
    assert uri in refused(tmp_path, *inputs.augment(uri))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--n", -1), "n: expected"),
        (("--p", 1.5), "p: expected"),
        (("--k", 0), "k: expected"),
        (("--seed", -1), "seed: expected"),
        (("--workers", 0), "--workers: expected a number of at least 1, found 0"),
        (("--shard-rows", 0), "--shard-rows: expected a number of at least 1, found 0"),
        (("--limit", 0), "--limit: expected a number of at least 1, found 0"),
        (("--engine", "spark"), "--engine: expected one of auto, ray, local, found 'spark'"),
        (("--device", "tpu"), "--device: expected auto, cpu, cuda or cuda:N, found 'tpu'"),
        (("--precision", "fp8"), "--precision: expected one of"),
        (("--preset", "mine"), "preset: expected one of"),
        (("--pairs", "both"), "pairs: expected one of"),
        (("--pairs", "second"), "--pairs second: expected a task with two texts"),
        (("--pairs", "each"), "--pairs each: expected a task with two texts"),
        (("--pair-context",), "--pair-context: expected a task with two texts"),
        (("--on-bad-row", "fix"), "--on-bad-row: expected one of stop, skip, found 'fix'"),
        (("--context", "running", "--mask-spacing", 2), "use one of the two"),
        (("--protect", "/[/"), "is no regular expression"),
        (("--protect", "names.txt"), "--protect names.txt: expected a word, a /regular expression/ or a file"),
        (("--protect", "lists/names"), "found what looks like a path and no such file"),
        (("--protect", " "), "protect: expected words"),
        (("--data-revision", "abc"), "Leave out one"),
        (("--revision", "abc"), "--revision abc: expected --mlm with a name on the hub, found the folder"),
        (("--batch-tokens", 0), "error: --batch-tokens: expected a number of at least 1, found 0"),
        (("--threads", 0), "error: --threads: expected a number of at least 1, found 0"),
        (("--threads", 100_000), "--threads: expected at most 1,024 (the cores of a worker), found 100,000"),
        (("--out", ""), "--out: expected a folder or an address, found an empty name"),
        (("--address", "auto"), "--address auto: expected --engine ray or auto beside it, else it has no effect"),
        (("--device", "cuda:1", "--engine", "ray"), "--device cuda:1: expected cuda with Ray"),
        (("--label-names", "", "--task", "custom"), "--text: expected the name of a text column beside --label-names"),
        (("--label", "label"), "--label: expected --task custom, found --task sst2, whose columns and parts are known"),
        (("--text", "sentence"), "expected --task custom"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_out_of_range(inputs, tmp_path, more, said):
    assert said in refused(tmp_path, *inputs.augment(tmp_path / "run", *more))


@pytest.mark.parametrize("verb", ["augment", "run"])
def test_an_empty_output_is_not_the_demo_s_own(tmp_path, verb):
    assert "--out: expected a folder" in refused(tmp_path, verb, "--task", "sst2", "--demo", "--out", "", "--dry-run")


@pytest.mark.parametrize("arguments", [("augment",), ("augment", "--bogus"), ("nonsense",), ("augment", "--n", "x")])
def test_what_typer_itself_refuses(arguments):
    ran = tinyaug(*arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert "defect" not in ran.err
    assert "Usage" in ran.err


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("augment", "--help"), ("resample", "--help")])
def test_help_is_no_mistake(arguments):
    ran = tinyaug(*arguments)
    assert (ran.code, ran.err) == (0, "")
    assert "Usage: " in ran.out
    assert "--out" in ran.out or "resample" in ran.out


def test_no_command_at_all_shows_them():
    ran = tinyaug()
    assert ran.code == 2
    assert "Usage: " in ran.out + ran.err
    assert "resample" in ran.out + ran.err


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    """Whatever takes long fails the test."""
    for name in ("open_task", "locate_model", "load_vectors"):
        monkeypatch.setattr(f"pipelines.found.{name}", lambda *_, **__: pytest.fail("loaded before it was refused"))


@pytest.mark.parametrize("more", [(), ("--overwrite",)], ids=["plain", "overwrite"])
def test_unwritable_output_is_refused_before_anything_is_loaded(inputs, tmp_path, nothing_is_loaded, more):
    (tmp_path / "file").write_text("a file")
    said = refused(tmp_path, *inputs.augment(tmp_path / "file/run", *more))
    assert "expected a directory that can be written to" in said


def test_missing_gpu_is_refused_before_anything_is_loaded(inputs, tmp_path, nothing_is_loaded, monkeypatch):
    monkeypatch.setattr("pipelines.machine.devices.gpu_count", lambda: 0)
    said = refused(tmp_path, *inputs.augment(tmp_path / "run", "--device", "cuda"))
    assert "--device cuda: expected a CUDA device of that name, found none; use --device cpu or auto" in said
    said = refused(tmp_path, *inputs.augment(tmp_path / "run", "--device", "cuda", "--dry-run"))
    assert "found none" in said


def test_a_directory_at_work_is_refused_before_anything_is_loaded(inputs, tmp_path, nothing_is_loaded):
    with only_writer(Storage(str(tmp_path))):
        ran = tinyaug(*inputs.augment(tmp_path))
    assert (ran.code, f"found process {os.getpid()}" in ran.err) == (2, True)


def test_shard_rows_of_another_draw(finished, tmp_path):
    said = refused(tmp_path, "resample", "--candidates", finished, "--out", tmp_path / "run", "--shard-rows", 0)
    assert "--shard-rows: expected a number of at least 1, found 0" in said


@pytest.mark.parametrize("verb", ["status", "verify", "inspect"])
def test_looking_at_no_run(tmp_path, verb):
    said = refused(tmp_path, verb, tmp_path)
    assert "found no run.json" in said
    (tmp_path / "thesis.tex").touch()
    assert refused(tmp_path, verb, tmp_path) == said
    assert "--out" not in said
    (tmp_path / "run.json").write_text('{"tinyaug": "0.1", "format_version": 0, "kind": "finetune"}')
    assert "format version 1, found a run of `tinyaug finetune`" in refused(tmp_path, verb, tmp_path)


def test_a_damaged_run_json(inputs, tmp_path):
    (tmp_path / "run.json").write_text("{")
    for command in (("status", tmp_path), ("verify", tmp_path), inputs.augment(tmp_path)):
        assert f"{tmp_path}/run.json: not valid JSON" in refused(tmp_path, *command)


@pytest.mark.parametrize("verb", ["verify", "inspect"])
def test_looking_at_a_training(tmp_path, verb):
    (tmp_path / "run.json").write_text('{"tinyaug": "0.1", "format_version": 1, "kind": "finetune"}')
    assert "`tinyaug run`, format version 1, found a run of `tinyaug finetune`" in refused(tmp_path, verb, tmp_path)


@pytest.mark.integration
@pytest.mark.parametrize("what", ["--mlm", "--glove", "--data"])
def test_no_network(inputs, tmp_path, what):
    """The hub cannot be reached: an address on this machine where nobody listens."""
    arguments = inputs.augment(tmp_path / "run")
    if what == "--data":
        place = arguments.index("--data")
        del arguments[place : place + 2]
    else:
        arguments += [what, {"--mlm": "someone/some-model", "--glove": "glove-wiki-gigaword-50"}[what]]
    nowhere = "http://127.0.0.1:9"
    proxy = {"https_proxy": nowhere} if what == "--glove" else {}
    hub = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": nowhere, "HF_HOME": str(tmp_path / "hub")}
    ran = in_a_process(*arguments, GENSIM_DATA_DIR=str(tmp_path / "gensim"), **hub, **proxy)
    assert ran.code == 2, ran.err
    assert ran.err.strip().splitlines()[-1].startswith("tinyaug: error: ")
    assert "network" in ran.err or "expected to reach the hub" in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "run").exists()


def test_offline_and_not_in_the_cache(inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    said = refused(tmp_path, *inputs.augment(tmp_path / "run", "--mlm", "someone/some-model"))
    assert "someone/some-model" in said


def test_model_that_changed_while_a_run_was_stopped(inputs, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "copy")
    (run / "candidates/manifest.json").unlink()
    model = save_tiny_masked_lm(tmp_path / "other", seed=3)
    ran = tinyaug(*inputs.augment(run, "--shard-rows", 10, "--mlm", model))
    assert (ran.code, "other --mlm: " in ran.err) == (2, True)
