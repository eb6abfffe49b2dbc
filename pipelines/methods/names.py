"""The methods of `distill` and `run` by the names that --method takes."""

from __future__ import annotations

from pipelines.methods.bert_pkd import BERT_PKD
from pipelines.methods.tinybert import TINYBERT

METHODS = {"tinybert": TINYBERT, "bert-pkd": BERT_PKD}
