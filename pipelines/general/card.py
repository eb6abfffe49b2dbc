"""The README.md of a general student: what it is, how it was made, what it is good for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

CARD = """---
library_name: transformers
{pipeline}tags:
- tinyaug
- knowledge-distillation
- tinybert
---

# General student

{about}

```console
$ tinyaug distill --task sst2 --teacher path/to/teacher --student-init path/to/this/folder --out student
```

{mask}## How it was made

{facts}

`projections.safetensors` has W_h and W_e, which `tinyaug distill` goes on with where the teacher is as wide.
`run.json` has every setting and the digests of corpus and models, `metrics.json` the results, `general/losses.csv` the
loss of every step. The licence is that of the corpus and of the teacher.
"""
MASK = """```python
from transformers import pipeline

fill = pipeline("fill-mask", model="path/to/this/folder")
print(fill("a [MASK] and funny film ."))
```

"""


def general_card(about: str, facts: Mapping[str, Any], masked_lm: bool) -> str:
    """The text of a model card.

    Args:
        about: a sentence or two.
        facts: name -> value, listed in order.
        masked_lm: whether it has a trained masked-LM head.
    """
    return CARD.format(
        about=about,
        facts="\n".join(f"- {name}: {value}" for name, value in facts.items()),
        pipeline="pipeline_tag: fill-mask\n" if masked_lm else "",
        mask=MASK if masked_lm else "",
    )
