"""`distill` as a library: the example of the documentation works as it stands, and nothing is paid for unasked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import pipeline

import distill
from tests.distill.models import tiny_encoder
from tests.fixtures import WHOLE_WORDS, save_tiny_masked_lm, tiny_tokenizer

ROOT = Path(__file__).resolve().parents[2]


def loaded_by(statement: str) -> set[str]:
    command = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def chapter() -> str:
    text = (ROOT / "docs/distillation.md").read_text(encoding="utf-8").split("\n## In Python\n")[1]
    return text.split("\n## ")[0]


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", chapter(), re.DOTALL)


def test_the_example_makes_a_student(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
    teacher = tiny_encoder(hidden_size=24, num_attention_heads=12, max_position_embeddings=128, **labels)
    teacher.save_pretrained("runs/sst2/teacher")
    tiny_tokenizer().save_pretrained("runs/sst2/teacher")
    Path("my-parquet").mkdir()
    pq.write_table(pa.table({"text": [" ".join(WHOLE_WORDS[i : i + 4]) for i in range(12)]}), "my-parquet/a.parquet")
    example, _ = examples()
    exec(example, {})
    [answer] = pipeline("text-classification", model="my-student")("a good film")
    assert answer["label"] in ("bad", "good")
    assert {"model.safetensors", "projections.safetensors", "tokenizer.json"} <= {
        path.name for path in Path("my-student").iterdir()
    }
    assert len(Path("my-student/stages/intermediate/losses.csv").read_text().splitlines()) == 11
    exec(example, {})  # all is done: it comes back at once


def test_the_example_of_general_distillation_makes_a_masked_lm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shape = {"hidden_size": 312, "num_hidden_layers": 4, "num_attention_heads": 12, "max_position_embeddings": 128}
    save_tiny_masked_lm(Path("bert-base-uncased"), **shape)
    lines = [" ".join(WHOLE_WORDS[i : i + 9]) + ("\n" if i % 7 == 6 else "") for i in range(40)]
    Path("corpus.txt").write_text("\n".join(lines))
    _, example = examples()
    exec(example, {})
    assert pq.read_table("my-general/corpus").num_rows > 4
    assert len(pipeline("fill-mask", model="my-general")("a [MASK] film")) == 5
    curve = Path("my-general/stages/general/losses.csv").read_text().splitlines()
    assert curve[0].endswith("embedding,attention,hidden,mlm")
    assert len(curve) == 4
    exec(example, {})


def test_public_names():
    listed = set(re.findall(r"`(\w+)`", chapter().split("lists all public names")[1]))
    assert listed == set(distill.__all__)
    assert {name for names in distill.HOMES.values() for name in names} == set(distill.__all__)
    assert all(getattr(distill, name).__module__.startswith("distill.") for name in distill.__all__)
    with pytest.raises(AttributeError, match="no attribute 'distil'"):
        _ = distill.distil


def test_imports_cost_nothing_before_they_are_used():
    assert not loaded_by("import distill") & {"torch", "transformers", "pyarrow", "numpy"}
    everything = loaded_by("import distill; [getattr(distill, name) for name in distill.__all__]")
    assert "torch" in everything
    assert not everything & {"ray", "typer", "augment", "glove", "pipelines"}
