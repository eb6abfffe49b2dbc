"""Teachers of any family and vocabulary: rows are tokenised twice, and what the student is given are their logits."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import GPT2Config, GPT2ForSequenceClassification

from distill.cache_format import CacheContent
from distill.errors import DistillError
from distill.foreign import foreign_logits, padded_left
from distill.outputs import model_logits
from distill.reading import Columns
from distill.shards import OtherTokens, Position
from distill.targets import Targets, cache_key
from distill.teacher import Teacher, Wanted
from distill.teacher_cache import TeacherCache
from distill.tokens import tokenizer_json
from tests.distill.data import COLUMNS, open_stream
from tests.fixtures import tiny_tokenizer
from tests.foreign import FAMILIES, foreign_classifier, foreign_tokenizer

LOGITS = Wanted(logits=True)


def two_tokenisations(data, family, columns=COLUMNS, **changes):
    stream = open_stream(data, columns, **changes)
    stream.other = OtherTokens(tokenizer_json(foreign_tokenizer(family)), 0)
    return stream


def by_transformers(data, family, columns) -> dict[tuple[int, int], list[float]]:
    """The logits of each row by itself, as transformers' own tokenizer and model give them."""
    model, tokenizer, found = foreign_classifier(family), foreign_tokenizer(family), {}
    for shard, path in enumerate(sorted(data.glob("*.parquet"))):
        table = pq.read_table(path)
        for row, texts in enumerate(zip(*(table.column(name).to_pylist() for name in columns.texts), strict=True)):
            inputs = tokenizer(*texts, truncation="longest_first", max_length=16, return_tensors="pt")
            with torch.no_grad():
                found[shard, row] = model(**inputs).logits[0].tolist()
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("texts", [("sentence",), ("sentence", "partner")], ids=len)
def test_their_logits_are_those_of_transformers(data, family, texts):
    columns = Columns(texts, "label", 2)
    expected, teacher, seen = by_transformers(data, family, columns), Teacher(foreign_classifier(family)), 0
    for batch in two_tokenisations(data, family, columns).batches(Position()):
        found = teacher.targets(batch, LOGITS).logits
        wanted = [expected[place] for place in zip(batch.shard.tolist(), batch.row.tolist(), strict=True)]
        torch.testing.assert_close(found, torch.tensor(wanted), atol=1e-4, rtol=1e-4)
        seen += len(batch)
    assert seen == 100


def test_the_student_s_batches_stay_as_they_are(data):
    plain = list(open_stream(data).batches(Position()))
    for workers in (0, 1):
        stream = two_tokenisations(data, "albert", workers=workers)
        for mine, alone in zip(stream.batches(Position()), plain, strict=True):
            np.testing.assert_array_equal(mine.ids, alone.ids)
            np.testing.assert_array_equal(mine.taught.row, alone.row)
            assert mine.taught.ids.max() < len(foreign_tokenizer("albert"))
            second = mine.part(1, 2)
            np.testing.assert_array_equal(second.taught.row, second.row)
        stream.close()


def test_tokens_that_are_kept_are_the_same(data, tmp_path):
    stream = two_tokenisations(data, "xlnet")
    fresh = [batch.taught.ids for batch in stream.batches(Position())]
    for _ in range(2):
        stream = two_tokenisations(data, "xlnet")
        stream.kept = tmp_path
        for batch, ids in zip(stream.batches(Position()), fresh, strict=True):
            np.testing.assert_array_equal(batch.taught.ids, ids)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cache_is_the_teacher_s(data, tmp_path):
    stream, teacher = two_tokenisations(data, "deberta-v2"), Teacher(foreign_classifier("deberta-v2"))
    key = cache_key(teacher, stream, CacheContent.LOGITS, "float32")
    assert key.tokenizer != cache_key(teacher, open_stream(data), CacheContent.LOGITS).tokenizer
    hashes = [stream.files.sha256(shard) for shard in range(3)]
    given = []
    for _ in range(2):  # the second time every row is read
        targets = Targets(teacher, TeacherCache(tmp_path / "cache", key, hashes, [37, 50, 13]))
        given.append(torch.cat([targets(batch, LOGITS).logits for batch in stream.batches(Position())]))
        targets.cache.flush()
        targets.cache.finish()
        targets.cache.close()
    torch.testing.assert_close(*given, atol=0, rtol=0)
    teacher.targets = None
    assert Targets(teacher, TeacherCache(tmp_path / "cache", key, hashes, [37, 50, 13])).cache.complete


def test_padding_comes_first_for_a_model_that_reads_its_last_token():
    inputs = {
        "input_ids": torch.tensor([[5, 6, 0, 0], [7, 8, 9, 2]]),
        "attention_mask": torch.tensor([[1, 1, 0, 0], [1] * 4]),
    }
    found = padded_left(inputs)
    assert found["input_ids"].tolist() == [[0, 0, 5, 6], [7, 8, 9, 2]]
    assert found["attention_mask"].tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]


def test_layers_of_an_unknown_family_are_refused():
    with pytest.raises(DistillError, match="expected an encoder of the families bert"):
        Teacher(foreign_classifier("albert"), (1, 2))


def test_a_classifier_that_fails_on_what_it_is_given():
    model = GPT2ForSequenceClassification(GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2))
    inputs = {"input_ids": torch.ones(2, 4, dtype=torch.long), "attention_mask": torch.ones(2, 4, dtype=torch.long)}
    with pytest.raises(
        DistillError, match=r"that takes input_ids, attention_mask and gives logits; GPT2For.* padding token"
    ):
        model_logits(model, inputs)


def test_logits_of_another_shape():
    model = foreign_classifier("albert")
    model.config.num_labels = 3
    with pytest.raises(DistillError, match=r"expected logits \(1, 3\), a row for each text; found \(1, 2\)"):
        foreign_logits(model, {"input_ids": torch.tensor([[2, 5, 3]])})


def test_one_vocabulary_needs_no_second_reading(data):
    batch = next(open_stream(data).batches(Position()))
    assert batch.theirs is None
    assert batch.taught is batch
    assert tiny_tokenizer().get_vocab() != foreign_tokenizer("albert").get_vocab()


def test_bf16_does_not_round_their_logits():
    model, ids = foreign_classifier("albert"), torch.tensor([[2, 5, 9, 3]])
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(model_logits(model, {"input_ids": ids}), expected)
