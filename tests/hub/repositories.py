"""Tiny repositories under the names that `tinyaug run --task sst2` asks for."""

from __future__ import annotations

import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import BertForMaskedLM

from tests.fixtures import save_tiny_masked_lm, tiny_config
from tests.hub.server import Repository

ROWS = {"train": 24, "validation": 8, "test": 4}
TEXTS = ["the film is gripping and bright", "a dull plot , tedious and slow", "it was fun", "dreary , not funny"]
HEADS, POSITIONS = 12, 128  # those of the published student, and the length that texts are cut at

CARD = """---
configs:
- config_name: sst2
  data_files:
  - split: train
    path: sst2/train-*
  - split: validation
    path: sst2/validation-*
  - split: test
    path: sst2/test-*
dataset_info:
- config_name: sst2
  features:
  - name: sentence
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': negative
          '1': positive
  - name: idx
    dtype: int32
  splits:
  - name: train
    num_examples: 24
  - name: validation
    num_examples: 8
  - name: test
    num_examples: 4
---
# Sentences made for a test
"""


def glue() -> Repository:
    """Sentences in the layout of the data set; `first` is an earlier revision, with one text of another wording."""
    files = {f"sst2/{part}-00000-of-00001.parquet": _parquet(part, rows) for part, rows in ROWS.items()}
    files["README.md"] = CARD.encode()
    first = {**files, "sst2/train-00000-of-00001.parquet": _parquet("train", ROWS["train"], "once ")}
    return Repository("datasets", "nyu-mll/glue", {"main": files, "first": first})


def masked_lm() -> Repository:
    """A masked LM of four layers that has moved, as bert-base-uncased did; `first` has other weights."""
    shape = {"hidden_size": 24, "num_attention_heads": HEADS, "num_hidden_layers": 4}
    with TemporaryDirectory() as folder:
        revisions = {
            name: _files(save_tiny_masked_lm(Path(folder) / name, seed, max_position_embeddings=POSITIONS, **shape))
            for seed, name in enumerate(("main", "first"))
        }
    revisions["main"]["tf_model.h5"] = b"of no use here" * 100
    return Repository("models", "google-bert/bert-base-uncased", revisions, "bert-base-uncased")


def general_student() -> Repository:
    """The published shape of a general student, in the published form: a pickle, vocabulary and a bare config."""
    torch.manual_seed(0)
    shape = {"hidden_size": 312, "num_hidden_layers": 4, "intermediate_size": 1200, "num_attention_heads": HEADS}
    config = tiny_config(max_position_embeddings=POSITIONS, **shape)
    weights = {**BertForMaskedLM(config).state_dict(), "fit_denses.0.weight": torch.zeros(24, 312)}
    stream = io.BytesIO()
    torch.save(weights, stream)
    plain = {name: getattr(config, name) for name in (*shape, "vocab_size", "max_position_embeddings")}
    described = {**plain, "cell": {}, "emb_size": 312, "model_type": "bert", "pre_trained": "", "structure": []}
    files = {"config.json": json.dumps(described).encode(), "pytorch_model.bin": stream.getvalue()}
    files["vocab.txt"] = "\n".join(_vocabulary()).encode()
    return Repository("models", "huawei-noah/TinyBERT_General_4L_312D", {"main": files})


def _vocabulary() -> list[str]:
    from tests.fixtures import VOCABULARY

    return VOCABULARY


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _parquet(part: str, rows: int, prefix: str = "") -> bytes:
    labels = [-1] * rows if part == "test" else [row % 2 for row in range(rows)]
    texts = [f"{prefix}{TEXTS[row % len(TEXTS)]} {part} {row}" for row in range(rows)]
    table = pa.table({"sentence": texts, "label": labels, "idx": pa.array(range(rows), pa.int32())})
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()
