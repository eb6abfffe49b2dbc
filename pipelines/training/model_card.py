"""The README.md of a model folder: what the model is, how it is loaded, how it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.tasks import Task

CARD = """---
library_name: transformers
{pipeline}tags:
{tags}
---

# {title}

{about}

{usage}

## How it was made

{facts}

{files}
"""
CLASSIFY = """```python
{imported}from transformers import pipeline

classify = pipeline("text-classification", model="path/to/this/folder")
print(classify({example}))
```

| dev part | metric | value |
|---|---|---|
{metrics}"""
FILES = """\
`run.json` has every setting and the digests of data and models, `metrics.json` the results, `losses.csv` in the
stages' folders the loss of every step. The licence is that of the data and of the models it was made from."""


def model_card(
    title: str,
    about: str,
    usage: str,
    facts: Mapping[str, str | float],
    tags: tuple[str, ...] = (),
    pipeline: str = "",
    files: str = FILES,
) -> str:
    """The text of a model card.

    Args:
        title: of the model.
        about: a sentence or two.
        usage: how it is loaded, and what it can do.
        facts: name -> value, listed in order.
        tags: for the hub, beside tinyaug.
        pipeline: of transformers that loads it; empty for none.
        files: what lies beside it.
    """
    return CARD.format(
        title=title,
        about=about,
        usage=usage,
        facts="\n".join(f"- {name}: {value}" for name, value in facts.items()),
        tags="\n".join(f"- {tag}" for tag in ("tinyaug", *tags)),
        pipeline=f"pipeline_tag: {pipeline}\n" if pipeline else "",
        files=files,
    )


def classifier_card(
    title: str,
    about: str,
    facts: Mapping[str, str | float],
    task: Task,
    metrics: Mapping[str, Mapping[str, float]],
    tags: tuple[str, ...],
    registers: str | None = None,
) -> str:
    """The card of a model for a task, with its metrics.

    Args:
        title: of the model.
        about: a sentence or two.
        facts: name -> value, listed in order.
        task: what it was trained for.
        metrics: dev part -> metric -> value.
        tags: for the hub.
        registers: module of ours that makes transformers know its family; None for one that it knows.
    """
    rows = [f"| {part} | {name} | {value:.4f} |" for part, found in metrics.items() for name, value in found.items()]
    example = '"a text"' if len(task.text_columns) == 1 else '{"text": "one text", "text_pair": "the other"}'
    imported = f"import {registers}  # of tinyaug: makes transformers know this model\n\n" if registers else ""
    usage = CLASSIFY.format(imported=imported, example=example, metrics="\n".join(rows) or "| | not judged | |")
    return model_card(title, about, usage, facts, tags, "text-classification")


GENERAL = """```console
$ tinyaug distill --task sst2 --teacher path/to/teacher --student-init path/to/this/folder --out student
```"""
FILL_MASK = """

```python
from transformers import pipeline

fill = pipeline("fill-mask", model="path/to/this/folder")
print(fill("a [MASK] and funny film ."))
```"""
GENERAL_FILES = """\
`projections.safetensors` has W_h and W_e, which `tinyaug distill` goes on with where the teacher is as wide.
`run.json` has every setting and the digests of corpus and models, `metrics.json` the results, `general/losses.csv` the
loss of every step. The licence is that of the corpus and of the teacher."""


def encoder_card(
    title: str, about: str, facts: Mapping[str, str | float], tags: tuple[str, ...], masked_lm: bool
) -> str:
    """The card of a model for any task.

    Args:
        title: of the model.
        about: a sentence or two.
        facts: name -> value, listed in order.
        tags: for the hub.
        masked_lm: whether it has a trained masked-LM head.
    """
    usage = GENERAL + FILL_MASK if masked_lm else GENERAL
    return model_card(title, about, usage, facts, tags, "fill-mask" if masked_lm else "", GENERAL_FILES)


PRETRAINED = """```console
$ tinyaug distill --method bert-small --task sst2 --teacher teacher --student-init path/to/this/folder --out student
```"""
PRETRAINED_FILES = """\
`run.json` has every setting and the digests of corpus and tokenizer, `metrics.json` the results,
`pretraining/losses.csv` the loss of every step. The licence is that of the corpus."""


def pretrained_card(facts: Mapping[str, str | float], tags: tuple[str, ...]) -> str:
    """The card of a small BERT that `tinyaug pretrain` made.

    Args:
        facts: name -> value, listed in order.
        tags: for the hub.
    """
    about = (
        "A BERT for any task, pre-trained from random weights by `tinyaug pretrain` (masked LM and next-sentence "
        "prediction): it is to be fine-tuned, or distilled, for one. transformers loads it as `BertForPreTraining`, or "
        "with another head."
    )
    return model_card("Small BERT", about, PRETRAINED + FILL_MASK, facts, tags, "fill-mask", PRETRAINED_FILES)
