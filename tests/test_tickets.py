"""The story of docs/tickets.md: from a csv of support tickets to a small int8 model that runs without tinyaug."""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.demo import GLOVE, MLM
from tests.pipelines.exporting.conftest import alone
from tests.pipelines.jobs import done, rows
from tests.tickets import PROTECT, tickets, write_csv

CONFIG = """
task = "custom"
data = "tickets.csv"
text = ["subject", "body"]
label = "queue"
dev-split = 0.2
max-length = 64
device = "cpu"
"""
# What an application has: onnxruntime, tokenizers and numpy.
SCORES = """
import json
import numpy as np, onnxruntime
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation(64)
session = onnxruntime.InferenceSession("model_int8.onnx", providers=["CPUExecutionProvider"])
names = json.load(open("config.json"))["id2label"]
found = []
for pair in json.loads(sys.argv[1]):
    one = tokenizer.encode(*pair)
    given = {"input_ids": one.ids, "attention_mask": one.attention_mask, "token_type_ids": one.type_ids}
    given = {each.name: np.array([given[each.name]], dtype=np.int64) for each in session.get_inputs()}
    found.append(names[str(session.run(None, given)[0].argmax())])
print(json.dumps(found))
"""


@pytest.mark.integration
def test_from_a_csv_to_a_small_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = tickets()
    write_csv(tmp_path / "tickets.csv", made)
    (tmp_path / "tickets.toml").write_text(CONFIG)
    config = ("--config", "tickets.toml")

    done("finetune", *config, "--model", MLM, "--epochs", 4, "--lr", "3e-4", "--batch-size", 16, "--out", "teacher")
    protected = [word for pattern in PROTECT for word in ("--protect", pattern)]
    drawn = ("--preset", "texts", "--balance", "--n", 1, *protected)
    done(
        "augment", *config, *drawn, "--mlm", MLM, "--glove", GLOVE, "--engine", "local", "--workers", 1, "--out", "aug"
    )
    augmented = rows(tmp_path / "aug")
    assert len({sum(row["queue"] == label for row in augmented) for label in range(3)}) == 1  # every class has as many
    marks = [re.compile(pattern[1:-1]) for pattern in PROTECT]
    originals = {row["source_idx"]: row for row in augmented if row["variant"] == 0}
    for row in augmented:
        original = originals[row["source_idx"]]
        for column in ("subject", "body"):
            assert [mark.findall(row[column]) for mark in marks] == [mark.findall(original[column]) for mark in marks]

    audited = done("audit", "aug", "--teacher", "teacher", "--all", "--json", "flips.json", "--png", "flips.png")
    assert f"of {len(augmented) - len(originals):,} variants flip" in audited.out
    assert (tmp_path / "flips.png").read_bytes().startswith(b"\x89PNG")

    taught = ("--max-flip", 0.9, "--target-mb", 6, "--trim-vocabulary", 0.05)
    epochs = ("--epochs-intermediate", 8, "--epochs-prediction", 8)
    done("distill", *config, "--teacher", "teacher", "--train", "aug/augmented", *taught, *epochs, "--out", "student")
    done("export", "student", "--format", "onnx", "--out", "onnx")

    dev = pq.read_table(next((tmp_path / "student" / "data").glob("validation*.parquet"))).to_pylist()
    assert 110 <= len(dev) <= 130
    told = json.loads((tmp_path / "onnx" / "export.json").read_text())["findings"]["dev"]["int8"]["validation"]
    queues = sorted({row.queue for row in made})
    found = alone(SCORES, tmp_path / "onnx", json.dumps([[row["subject"], row["body"]] for row in dev]))
    accuracy = np.mean([one == queues[row["queue"]] for one, row in zip(found, dev, strict=True)])
    assert accuracy == pytest.approx(told["accuracy"], abs=2 / len(dev))
    larger = max(Counter(row.queue for row in made).values()) / len(made)
    assert accuracy > larger + 0.2
    assert (tmp_path / "onnx" / "model_int8.onnx").stat().st_size < 600_000
    assert (tmp_path / "teacher" / "model.safetensors").stat().st_size > 15_000_000
