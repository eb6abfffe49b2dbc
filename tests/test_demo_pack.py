"""scripts/build_demo_pack.py: what it makes of a model and of vectors, and what a mistake leaves of the pack."""

from __future__ import annotations

import gzip
import json
import os
import runpy
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, BertForMaskedLM

from pipelines.demo import DATA, GLOVE, MLM
from tests.fixtures import save_tiny_masked_lm
from tests.pipelines.jobs import everything

SCRIPT = Path(__file__).parents[1] / "scripts/build_demo_pack.py"
FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


@pytest.fixture
def build(monkeypatch):
    """Runs the script on a pack that is not the real one."""

    def run(pack: Path, *arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["build_demo_pack.py", *map(str, arguments), "--pack", str(pack)])
        runpy.run_path(str(SCRIPT), run_name="__main__")

    return run


@pytest.fixture
def pack(tmp_path) -> Path:
    """One with the demo's sentences and tokenizer, and with models that are not to be lost."""
    made = tmp_path / "pack"
    (made / "mlm").mkdir(parents=True)
    (made / "mlm/tokenizer.json").write_bytes((MLM / "tokenizer.json").read_bytes())
    (made / "mlm/stale.txt").write_text("of an earlier model")
    (made / "glove").mkdir()
    (made / "glove" / GLOVE.name).write_bytes(b"earlier vectors")
    (made / "sst2").symlink_to(DATA)
    return made


@pytest.fixture
def vectors(tmp_path) -> Path:
    """More frequent words than are kept, and two rare ones."""
    path = tmp_path / "glove.txt"
    words = [*(f"word{number}" for number in range(30_000)), "cannibalism", "nowhere-in-the-demo"]
    path.write_text("".join(f"{word} 0.41800 -0.12349\n" for word in words), encoding="utf-8")
    return path


def test_a_model_says_in_half_precision_what_it_said(build, pack, tmp_path, capsys):
    source = save_tiny_masked_lm(tmp_path / "source", hidden_dropout_prob=0.0)
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    tokenizer["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    (source / "tokenizer.json").write_text(json.dumps(tokenizer))
    (source / "vocab.txt").write_text("nobody reads it")
    before = everything(source)
    build(pack, "--mlm", source)
    assert everything(source) == before
    made = pack / "mlm"
    assert sorted(path.name for path in made.iterdir()) == FILES
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == FILES
    whole, half = BertForMaskedLM.from_pretrained(source), BertForMaskedLM.from_pretrained(made)
    assert {weight.dtype for weight in half.parameters()} == {torch.float16}
    assert (half.config.hidden_dropout_prob, half.config.attention_probs_dropout_prob) == (0.1, 0.1)
    given = AutoTokenizer.from_pretrained(made)("a good film and a [MASK] story .", return_tensors="pt")
    assert given["input_ids"].shape == (1, 10)
    with torch.no_grad():
        expected = whole.eval()(**given).logits
        torch.testing.assert_close(half.float().eval()(**given).logits, expected, rtol=0.01, atol=0.01)


def test_whoever_may_read_files_may_read_the_models(build, pack, vectors, tmp_path):
    before = os.umask(0o022)
    try:
        build(pack, "--mlm", MLM, "--glove", vectors)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in pack.rglob("*")}
    assert modes == {name: 0o755 if name in ("mlm", "glove", "sst2") else 0o644 for name in modes}
    assert modes.keys() == {"mlm", *FILES, "glove", GLOVE.name, "sst2"}


def test_the_model_of_the_pack_is_what_the_script_makes(build, pack):
    build(pack, "--mlm", MLM)
    assert everything(pack / "mlm") == everything(MLM)


def test_the_same_subset_twice(build, pack, vectors):
    results = []
    for _ in range(2):
        build(pack, "--glove", vectors)
        results.append((pack / "glove" / GLOVE.name).read_bytes())
    assert results[0] == results[1]
    lines = gzip.decompress(results[0]).decode().splitlines()
    assert len(lines) == 30_001
    assert lines[-1] == "cannibalism .418 -.123"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "expected --mlm or --glove or both, found neither"),
        (("--mlm", "{pack}/../nowhere"), "--mlm: expected a file {pack}/../nowhere/config.json, found none"),
        (("--glove", "{pack}/nowhere.txt"), "--glove: expected a file {pack}/nowhere.txt, found none"),
        (("--mlm", "{mlm}", "--glove", "{pack}/nowhere.txt"), "--glove: expected a file {pack}/nowhere.txt"),
        (("--mlm", "{pack}/mlm"), "--mlm: expected a file {pack}/mlm/config.json, found none"),
        (("--glove", "{pack}/mlm/../glove/" + GLOVE.name), "--glove: expected another source than the pack's own"),
    ],
)
def test_a_wrong_source_costs_nothing(build, pack, capsys, arguments, said):
    before = everything(pack)
    with pytest.raises(SystemExit) as ended:
        build(pack, *(one.format(pack=pack, mlm=MLM) for one in arguments))
    assert ended.value.code == 2
    assert said.format(pack=pack) in capsys.readouterr().err
    assert everything(pack) == before


def test_a_model_is_not_made_of_itself(build, pack, tmp_path, capsys):
    build(pack, "--mlm", save_tiny_masked_lm(tmp_path / "source"))
    before = everything(pack)
    with pytest.raises(SystemExit):
        build(pack, "--mlm", pack / "mlm")
    assert "--mlm: expected another source than the pack's own" in capsys.readouterr().err
    assert everything(pack) == before


def test_without_its_sentences_a_pack_gets_no_vectors(build, tmp_path, vectors, capsys):
    with pytest.raises(SystemExit):
        build(tmp_path / "none", "--glove", vectors)
    assert "--pack: expected a file" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("broken", ["config.json", "tokenizer_config.json", "glove.txt"])
def test_what_breaks_on_the_way_leaves_the_pack(build, pack, vectors, tmp_path, broken):
    source = save_tiny_masked_lm(tmp_path / "source")
    option = ("--glove", vectors) if broken == "glove.txt" else ("--mlm", source)
    path = vectors if broken == "glove.txt" else source / broken
    path.write_text(path.read_text() + "here it is broken\n")
    before = everything(pack)
    with pytest.raises(ValueError, match=r"Extra data|could not convert"):
        build(pack, *option)
    assert everything(pack) == before
    assert sorted(one.name for one in pack.iterdir()) == ["glove", "mlm", "sst2"]


@pytest.mark.parametrize(("step", "name"), [("write_text", "tokenizer_config.json"), ("rename", "made")])
def test_ctrl_c_leaves_the_pack(build, pack, tmp_path, monkeypatch, step, name):
    """While files are written, and when the earlier model has made room."""
    source, before = save_tiny_masked_lm(tmp_path / "source"), everything(pack)
    real = getattr(Path, step)

    def stop(path: Path, *given: object, **named: object) -> object:
        if path.name == name:
            raise KeyboardInterrupt
        return real(path, *given, **named)

    monkeypatch.setattr(Path, step, stop)
    with pytest.raises(KeyboardInterrupt):
        build(pack, "--mlm", source)
    assert everything(pack) == before
