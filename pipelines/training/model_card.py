"""The README.md of a model folder: what the model is, how it was made, how it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.tasks import Task

CARD = """---
library_name: transformers
pipeline_tag: text-classification
tags:
- tinyaug
{tags}---

# {title}

{about}

```python
from transformers import pipeline

classify = pipeline("text-classification", model="path/to/this/folder")
print(classify({example}))
```

| dev part | metric | value |
|---|---|---|
{metrics}

## How it was made

{facts}

`run.json` has every setting and the digests of data and models, `metrics.json` the results, `losses.csv` in the
stages' folders the loss of every step. The licence is that of the data and of the models it was made from.
"""


def card(
    title: str,
    about: str,
    task: Task,
    metrics: Mapping[str, Mapping[str, float]],
    facts: Mapping[str, Any],
    tags: tuple[str, ...] = (),
) -> str:
    """The text of a model card.

    Args:
        title: of the model.
        about: a sentence or two.
        task: what it was trained for.
        metrics: dev part -> metric -> value.
        facts: name -> value, listed in order.
        tags: for the hub.
    """
    rows = [f"| {part} | {name} | {value:.4f} |" for part, found in metrics.items() for name, value in found.items()]
    example = '"a text"' if len(task.text_columns) == 1 else '{"text": "one text", "text_pair": "the other"}'
    return CARD.format(
        title=title,
        about=about,
        example=example,
        tags="".join(f"- {tag}\n" for tag in tags),
        metrics="\n".join(rows) or "| | not judged | |",
        facts="\n".join(f"- {name}: {value}" for name, value in facts.items()),
    )
