"""Distillation of BERT-family encoders by the TinyBERT recipe; reads Parquet, knows nothing of augmentation.

The public names are loaded on first use: worker processes that read and tokenise do not pay for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distill.cache_format import CacheMode
    from distill.distilbert import DistilbertSettings, DistilbertStage
    from distill.embedding_init import project_embeddings
    from distill.errors import DistillError, StoppedError
    from distill.evaluation import evaluate
    from distill.general import GeneralStage, MaskedLmLoss
    from distill.layer_maps import patient_layers, resolve_layer_map
    from distill.losses import HeadReduction, LossSettings
    from distill.masking import CountedMasking, MaskSettings
    from distill.next_sentence import pack_pairs
    from distill.objectives import IntermediateStage, LabelStage, PredictionStage
    from distill.one_call import Distilled, DistillSettings, distill_model
    from distill.packing import Packing, pack, tokenised
    from distill.pkd import PkdSettings, PkdStage
    from distill.pretraining import PretrainingStage, new_bert
    from distill.reading import Columns, open_shards
    from distill.saving import save_model
    from distill.shards import ShardStream, StreamSettings
    from distill.student import Student, build_student
    from distill.targets import Targets, cache_key, fill_cache
    from distill.teacher import Precision, Teacher
    from distill.teacher_cache import TeacherCache
    from distill.tokens import tokenizer_json
    from distill.training import train
    from distill.training_settings import Hooks, Progress, TrainSettings

HOMES = {  # by module
    "cache_format": ("CacheMode",),
    "distilbert": ("DistilbertSettings", "DistilbertStage"),
    "embedding_init": ("project_embeddings",),
    "errors": ("DistillError", "StoppedError"),
    "evaluation": ("evaluate",),
    "general": ("GeneralStage", "MaskedLmLoss"),
    "layer_maps": ("patient_layers", "resolve_layer_map"),
    "losses": ("HeadReduction", "LossSettings"),
    "masking": ("CountedMasking", "MaskSettings"),
    "next_sentence": ("pack_pairs",),
    "objectives": ("IntermediateStage", "LabelStage", "PredictionStage"),
    "one_call": ("Distilled", "DistillSettings", "distill_model"),
    "packing": ("Packing", "pack", "tokenised"),
    "pkd": ("PkdSettings", "PkdStage"),
    "pretraining": ("PretrainingStage", "new_bert"),
    "reading": ("Columns", "open_shards"),
    "saving": ("save_model",),
    "tokens": ("tokenizer_json",),
    "shards": ("ShardStream", "StreamSettings"),
    "student": ("Student", "build_student"),
    "targets": ("Targets", "cache_key", "fill_cache"),
    "teacher": ("Precision", "Teacher"),
    "teacher_cache": ("TeacherCache",),
    "training": ("train",),
    "training_settings": ("Hooks", "Progress", "TrainSettings"),
}
__all__ = [
    "CacheMode",
    "Columns",
    "CountedMasking",
    "DistilbertSettings",
    "DistilbertStage",
    "DistillError",
    "DistillSettings",
    "Distilled",
    "GeneralStage",
    "HeadReduction",
    "Hooks",
    "IntermediateStage",
    "LabelStage",
    "LossSettings",
    "MaskSettings",
    "MaskedLmLoss",
    "Packing",
    "PkdSettings",
    "PkdStage",
    "Precision",
    "PredictionStage",
    "PretrainingStage",
    "Progress",
    "ShardStream",
    "StoppedError",
    "StreamSettings",
    "Student",
    "Targets",
    "Teacher",
    "TeacherCache",
    "TrainSettings",
    "build_student",
    "cache_key",
    "distill_model",
    "evaluate",
    "fill_cache",
    "new_bert",
    "open_shards",
    "pack",
    "pack_pairs",
    "patient_layers",
    "project_embeddings",
    "resolve_layer_map",
    "save_model",
    "tokenised",
    "tokenizer_json",
    "train",
]


def __getattr__(name: str) -> Any:
    """Loads a public name's module."""
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"distill.{home}"), name)
    raise AttributeError(f"module 'distill' has no attribute {name!r}")
