"""The dataset card beside the augmented shards: what they are, and how other libraries read them."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from pipelines.augmenting.stages import AUGMENTED
from pipelines.classes.numbers import described
from pipelines.run_folder.records import Record, merge_counts

if TYPE_CHECKING:
    from pipelines.augmenting.stages import Job
    from pipelines.run_folder.storage import Storage

CARD = """---
configs:
- config_name: {name}
  data_files:
  - split: train
    path: data/train-*.parquet
tags:
- data-augmentation
- tinybert
- tinyaug
---

# {task}, augmented by tinyaug

{rows:,} rows from {source_rows:,} examples: each example as it was (`variant` 0) and its variants by Algorithm 1 of
the TinyBERT paper (N = {n}, p_t = {p}, K = {k}, seed {seed}).

| column | type | meaning |
|---|---|---|
{columns}
| `source_idx` | int64 | row of the example in the input, from 0 |
| `variant` | int32 | 0 is the original |
| `edits` | list of struct | what was replaced: `column`, `start`, `end` (code points of the original text), \
`original`, `replacement`, `source` (`mlm` or `glove`), `rank`, `score` |

```python
from datasets import load_dataset
rows = load_dataset("path/to/augmented", split="train")

import pandas as pd
rows = pd.read_parquet("path/to/augmented/data")
```

{edits:,} words were replaced, {edits_mlm:,} by the masked LM and {edits_glove:,} by GloVe neighbours. The licence is
that of the data it was made from. `manifest.json` lists every shard with its rows and sha256.
"""


def write_card(storage: Storage, job: Job, records: list[Record]) -> None:
    """Writes the card.

    Args:
        storage: the run directory.
        job: the job.
        records: of all augmented shards, in order.
    """
    settings, task = job.identity.settings, job.task
    # `datasets` keeps what it has read by the card alone, so that its name has to tell these very shards from others.
    shards = "".join(f"{record.part} {record.sha256}\n" for record in records)
    digest = hashlib.sha256(shards.encode()).hexdigest()[:16]
    counts = merge_counts(record.counts for record in records)
    lines = [f"| `{name}` | string | text |" for name in task.text_columns]
    if task.label.column is not None:
        kind = f"class: {', '.join(task.label.names)}" if task.label.kind == "class" else "float32"
        lines.append(f"| `{task.label.column}` | {kind} | label of the example |")
    card = CARD.format(
        name=f"{re.sub('[^A-Za-z0-9]+', '-', task.name)}-{digest}",
        task=task.name,
        rows=sum(record.rows for record in records),
        source_rows=counts.get("source_rows", 0),
        n=described(settings, task),
        p=settings.draw.p,
        k=settings.candidates.k,
        seed=settings.draw.seed,
        columns="\n".join(lines),
        edits=counts.get("edits", 0),
        edits_mlm=counts.get("edits_mlm", 0),
        edits_glove=counts.get("edits_glove", 0),
    )
    storage.write_bytes(f"{AUGMENTED}/README.md", card.encode())
