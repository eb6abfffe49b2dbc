"""Augmenters in other processes and in `datasets`: pickled, forked, mapped; the README's example."""

from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import pytest
import torch

from augment import Augmenter
from augment.files.find import find_model
from augment.masked_lm import load_masked_lm
from augment.presets import CandidateSettings
from tests.augment.helpers import LONG, TEXTS, tiny_lm, tiny_vectors
from tests.fixtures import save_tiny_masked_lm

README = Path(__file__).parents[2] / "README.md"
LONGER = [f"{LONG} {number}" for number in range(2)]  # enough work for torch to share it out among threads


@pytest.fixture
def augmenter(mlm_folder, glove_file):
    return Augmenter.from_pretrained(mlm_folder, glove_file, device="cpu", k=5, protect=("plot",))


def with_variants(batch, augmenter):
    rows = augmenter.augment_table(batch["text"], n=3, seed=1)
    numbers = [batch["number"][row] for row in rows["source_idx"].to_pylist()]
    return {"text": rows["text"].to_pylist(), "number": numbers}


def data_set():
    from datasets import Dataset

    return Dataset.from_dict({"text": TEXTS[:12], "number": list(range(12))})


def test_a_model_from_a_folder_is_pickled_by_name(augmenter, monkeypatch, tmp_path):
    expected = augmenter.augment(TEXTS, n=2)
    pickled = pickle.dumps(augmenter)
    assert len(pickled) < 2000
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(pickled).augment(TEXTS, n=2) == expected


def test_the_folder_may_be_named_relative_to_where_one_was(mlm_folder, monkeypatch, tmp_path):
    monkeypatch.chdir(mlm_folder.parent)
    loaded = load_masked_lm(find_model(mlm_folder.name))
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(pickle.dumps(loaded)).window == loaded.window


@pytest.mark.parametrize("context", ["original", "running"])
def test_a_model_of_the_users_own_is_pickled_with_its_weights(context):
    settings = CandidateSettings(k=5, context=context, skip_stopwords=True)
    augmenter = Augmenter(tiny_lm(seed=7), tiny_vectors(), settings)
    expected = augmenter.augment(TEXTS, n=2)
    assert pickle.loads(pickle.dumps(augmenter)).augment(TEXTS, n=2) == expected


def test_datasets_knows_an_augmenter_again(mlm_folder, tmp_path):
    from datasets.fingerprint import Hasher

    def digest(folder, **settings):
        return Hasher.hash(Augmenter.from_pretrained(folder, device="cpu", **settings))

    assert digest(mlm_folder) == digest(mlm_folder)
    other = save_tiny_masked_lm(tmp_path / "other", seed=1)
    first = digest(other)
    save_tiny_masked_lm(other, seed=2)
    assert len({digest(mlm_folder), digest(mlm_folder, k=3), first, digest(other)}) == 4


def test_an_epoch_is_drawn_as_it_is_read(augmenter):
    rows = data_set()
    epoch = 0

    def one_variant(batch):
        return {**batch, "text": [one.text for [one] in augmenter.augment(batch["text"], n=1, seed=epoch)]}

    rows.set_transform(one_variant)
    first = [row["text"] for row in rows]
    assert rows[3:5]["text"] == first[3:5]
    assert first == [one.text for text in TEXTS[:12] for one in augmenter.augment([text], n=1, seed=0)[0]]
    epoch = 1
    assert [row["text"] for row in rows] != first


@pytest.mark.integration
def test_a_map_in_two_processes_equals_a_plain_call(augmenter):
    rows = data_set()
    expected = with_variants(rows[:], augmenter)
    for processes in (None, 2):
        options = {"batched": True, "batch_size": 5, "num_proc": processes, "remove_columns": rows.column_names}
        mapped = rows.map(with_variants, fn_kwargs={"augmenter": augmenter}, load_from_cache_file=False, **options)
        assert mapped[:] == expected


@pytest.mark.integration
@pytest.mark.parametrize(
    ("method", "hand_over"),
    [("spawn", lambda one: one), ("fork", lambda one: one), ("fork", pickle.dumps)],
    ids=["spawned", "forked", "forked-and-pickled"],
)
def test_a_process_after_this_one_used_its_threads(augmenter, method, hand_over):
    torch.set_num_threads(2)
    expected = [[variant.text for variant in variants] for variants in augmenter.augment(LONGER, n=1)]
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    child = context.Process(target=texts_of, args=(hand_over(augmenter), queue))
    child.start()
    try:
        child.join(120)
        assert child.exitcode == 0, "the process waits for threads that the fork left behind"
    finally:
        child.kill()
    assert queue.get() == expected


def texts_of(augmenter, queue):
    if isinstance(augmenter, bytes):
        augmenter = pickle.loads(augmenter)
    queue.put([[variant.text for variant in variants] for variants in augmenter.augment(LONGER, n=1)])


@pytest.mark.integration
def test_the_example_of_the_readme(mlm_folder, glove_file, monkeypatch):
    blocks = [block.split("```")[0] for block in README.read_text(encoding="utf-8").split("```python\n")[1:]]
    first, with_datasets = (block for block in blocks if "augmenter." in block)
    load = Augmenter.from_pretrained
    monkeypatch.setattr(Augmenter, "from_pretrained", lambda *_, **__: load(mlm_folder, glove_file, device="cpu"))
    names = {"__name__": "readme"}
    exec(first, names)
    exec(with_datasets, names)
    assert len(names["variants"]) == 20
    augmented, augmenter = names["augmented"], names["augmenter"]
    sentences = ["a gripping film", "the plot is dull"]
    assert augmented["label"][:] == [1] * 21 + [0] * 21
    assert augmented["sentence"][:] == augmenter.augment_table(sentences, n=20, seed=0)["text"].to_pylist()
    epochs = []
    for names["epoch"] in range(4):
        epochs.append(names["dataset"][:]["sentence"])
        assert epochs[-1] == [one.text for [one] in augmenter.augment(sentences, n=1, seed=names["epoch"])]
    assert len({tuple(epoch) for epoch in epochs}) > 1
