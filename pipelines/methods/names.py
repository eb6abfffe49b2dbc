"""The methods by the names that --method takes: those of `distill` and `run`, and those of `distill-general`."""

from __future__ import annotations

from pipelines.methods.bert_pkd import BERT_PKD
from pipelines.methods.bert_small import BERT_SMALL
from pipelines.methods.bilstm_soft import BILSTM_SOFT
from pipelines.methods.distilbert import DISTILBERT, DISTILBERT_GENERAL
from pipelines.methods.finetune import FINETUNE
from pipelines.methods.general import GENERAL
from pipelines.methods.tinybert import TINYBERT

METHODS = {
    "tinybert": TINYBERT,
    "bert-pkd": BERT_PKD,
    "distilbert": DISTILBERT,
    "bert-small": BERT_SMALL,
    "bilstm-soft": BILSTM_SOFT,
    "finetune": FINETUNE,
}
GENERAL_METHODS = {"tinybert": GENERAL, "distilbert": DISTILBERT_GENERAL}
