"""`tinyaug distill-general` with teachers of the families beside BERT."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, DistilBertConfig, ElectraConfig, RobertaConfig

from tests.fixtures import VOCABULARY, tiny_tokenizer
from tests.pipelines.jobs import done
from tests.pipelines.training.verbs import general, metrics

SIZE = {"vocab_size": len(VOCABULARY)}
SHAPE = {**SIZE, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
MARKS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
FAMILIES = {
    "roberta": RobertaConfig(**SHAPE, **MARKS, max_position_embeddings=66, type_vocab_size=1),
    "electra": ElectraConfig(**SHAPE, embedding_size=16, max_position_embeddings=64),
    "distilbert": DistilBertConfig(**SIZE, dim=32, n_layers=4, n_heads=4, hidden_dim=64, max_position_embeddings=64),
    "mpnet": AutoConfig.for_model("mpnet", **SHAPE, **MARKS, max_position_embeddings=66),
    "modernbert": AutoConfig.for_model("modernbert", **SHAPE, **MARKS, local_attention=8),
    "eurobert": AutoConfig.for_model("eurobert", **SHAPE, **MARKS, num_key_value_heads=2, mask_token_id=4),
    "nomic_bert": AutoConfig.for_model("nomic_bert", **SHAPE),
}


@pytest.mark.parametrize(
    ("family", "embeddings"),
    [
        ("roberta", "projected"),
        ("electra", "random"),
        ("distilbert", "projected"),
        ("mpnet", "projected"),
        ("modernbert", "random"),
        ("eurobert", "random"),
        ("nomic_bert", "random"),
    ],
)
def test_families(parts, corpus, tmp_path, family, embeddings):
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(FAMILIES[family]).save_pretrained(tmp_path / "teacher")
    tiny_tokenizer().save_pretrained(tmp_path / "teacher")
    out, more = tmp_path / "out", ("--student", "half", "--embedding-init", embeddings, "--max-steps", 8)
    done(*general(parts, corpus, out, "--teacher", tmp_path / "teacher", *more))
    student = AutoModel.from_pretrained(out)
    assert (student.config.model_type, student.config.num_hidden_layers) == (family, 2)
    lines = (out / "general/losses.csv").read_text().splitlines()
    assert lines[0].endswith(",loss,embedding,attention,hidden")
    losses = [float(line.split(",")[4]) for line in lines[1:]]
    assert losses[-1] < losses[0]
    assert metrics(out)["layer_map"] == [2, 4]
    assert bool(metrics(out)["pairs"]) == (family in ("electra", "nomic_bert"))  # the others have no second segment
