"""A tokenizer that cuts long texts at their beginning does so in every stage and in `evaluate`."""

from __future__ import annotations

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from augment.files.find import ModelFiles
from distill.latency import single_texts
from distill.reading import Columns
from distill.shards import Position
from pipelines.models.load import load_tokenizer
from pipelines.training.parts import open_stream


@pytest.mark.parametrize("open_texts", [lambda *given: open_stream(*given, batch_rows=1), single_texts])
def test_the_end_of_a_text_is_read(parts, tmp_path, open_texts):
    folder = shutil.copytree(parts.teacher, tmp_path / "teacher")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "truncation_side": "left"}))
    pq.write_table(pa.table({"text": ["a good film that was not dull or slow"]}), tmp_path / "rows.parquet")
    tokenizer = load_tokenizer(ModelFiles("teacher", "t", folder, None, ""))
    [batch] = open_texts(str(tmp_path / "rows.parquet"), Columns(("text",)), tokenizer, 5).batches(Position())
    assert tokenizer.decode(batch.ids[0], skip_special_tokens=True) == "dull or slow"
