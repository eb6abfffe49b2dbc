"""The embedded demo pack: its sentences, its models, its licences, and the command that shows them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from augment.augmenter import Augmenter
from augment.files.checks import check_masked_lm
from augment.words import WordSplitter
from glove import load_vectors
from pipelines.demo import DATA, FOLDER, GLOVE, MLM, OUT, SQUAD_PACK
from pipelines.errors import UserError
from pipelines.options.augmenting import AugmentOptions
from pipelines.tasks import open_task
from scripts.build_demo_squad import main as build_questions
from tests.pipelines.jobs import handed, later_wins
from tests.ready import start_ready

REPOSITORY = Path(__file__).resolve().parents[1]


def read(part: str) -> list[tuple[str, int]]:
    header, *lines = (DATA / f"{part}.tsv").read_bytes().decode("utf-8").removesuffix("\n").split("\n")
    assert header == "sentence\tlabel"
    rows = [line.split("\t") for line in lines]
    assert all(len(row) == 2 for row in rows)
    return [(sentence, int(label)) for sentence, label in rows]


@pytest.fixture(scope="module")
def train() -> list[tuple[str, int]]:
    return read("train")


@pytest.fixture(scope="module")
def dev() -> list[tuple[str, int]]:
    return read("dev")


def phrases(rows: list[tuple[str, int]], words: int) -> set[tuple[str, ...]]:
    found = set()
    for sentence, _ in rows:
        plain = "".join(letter if letter.isalnum() else " " for letter in sentence.lower()).split()
        found.update(tuple(plain[start : start + words]) for start in range(len(plain) - words + 1))
    return found


def typed(*words: object) -> AugmentOptions:
    """What `augment --demo` is handed when these words were typed beside it."""
    return handed(AugmentOptions, "--demo", *later_wins("--task", "sst2", *words))


def test_sentences_are_clean_and_balanced(train, dev):
    assert len(train) >= 1000
    assert len(dev) >= 500
    for rows in (train, dev):
        assert sum(label for _, label in rows) * 2 == len(rows)
        assert {label for _, label in rows} == {0, 1}
        for sentence, _ in rows:
            assert sentence == " ".join(sentence.split())
            assert '"' not in sentence
            assert sentence.isprintable()
            assert len(sentence.split()) >= 3


def test_dev_is_the_one_that_was_frozen():
    digest = hashlib.sha256((DATA / "dev.tsv").read_bytes()).hexdigest()
    assert f"`{digest}`" in (DATA / "README.md").read_text(encoding="utf-8")


def test_train_and_dev_share_no_sentence_and_no_phrase(train, dev):
    sentences = [sentence.casefold() for sentence, _ in train + dev]
    assert len(set(sentences)) == len(sentences)
    assert not phrases(train, 8) & phrases(dev, 8)


def test_few_sentences_open_alike(train, dev):
    """As the README says: words without case and punctuation, "don't" being one."""
    words = (re.findall(r"\w+(?:['’]\w+)*", sentence.lower()) for sentence, _ in train + dev)
    assert max(Counter(tuple(found[:5]) for found in words).values()) == 2


def test_rare_words_are_in_several_pieces_and_have_vectors(train):
    splitter = WordSplitter(Tokenizer.from_file(str(MLM / "tokenizer.json")), 100)
    vectors = load_vectors(GLOVE)
    found = splitter.split([sentence for sentence, _ in train])
    words = {spelling.lower() for spelling in found.spellings(np.flatnonzero(~found.single_piece))}
    assert len(words) > 500
    assert sum(vectors.row(word) is not None for word in words) > 0.9 * len(words)


def test_models_load_and_propose_words():
    check_masked_lm(MLM, "demo")
    vectors = load_vectors(GLOVE)
    assert len(vectors) >= 30_000
    assert vectors.dimensions == 50
    assert vectors.row("the") == 0
    augmenter = Augmenter.from_pretrained(MLM, GLOVE, device="cpu", k=20)
    found = augmenter.candidates(["The film is good, if a little overlong."])
    by_word = {
        found.texts[0][found.starts[word] : found.ends[word]]: [spelling for spelling, _ in found.of_word(word)]
        for word in range(len(found.starts))
    }
    assert "movie" in by_word["film"]
    assert "great" in by_word["good"]
    assert len(by_word["overlong"]) == 20
    (variants,) = augmenter.augment(["The film is good, if a little overlong."], n=30, seed=1)
    assert {edit.source for variant in variants for edit in variant.edits} == {"mlm", "glove"}


def test_pack_is_small_and_says_under_which_licences():
    files = [path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 16_000_000
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for word in ("`mlm/`", "`glove/`", "`sst2/`", "Apache-2.0", "PDDL", "CC0"):
        assert word in readme
    assert "CC0" in (DATA / "README.md").read_text(encoding="utf-8")
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    assert "pipelines/demo" in (REPOSITORY / "NOTICE").read_text(encoding="utf-8")


def test_demo_fills_in_what_was_not_typed():
    options = typed()
    assert (options.data.data, options.models.mlm, options.models.glove) == (DATA, str(MLM), str(GLOVE))
    assert (options.output.out, options.rows.limit) == (OUT, None)
    assert not options.models.has("mlm")


def test_demo_leaves_what_was_typed():
    options = typed("--data", "mine", "--mlm", "my-mlm", "--glove", "none", "--out", "runs/mine")
    assert (options.data.data, options.models.mlm, options.models.glove) == (Path("mine"), "my-mlm", "none")
    assert options.output.out == "runs/mine"
    assert typed("--task", "SST-2").data.data == DATA


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("--task", "cola"), "--task sst2"),
        (("--revision", "main"), "--revision"),
        (("--data-revision", "x"), "--data-rev"),
    ],
)
def test_demo_refuses_what_it_cannot_do(given, named):
    with pytest.raises(UserError, match=named):
        typed(*given)


@pytest.mark.integration
def test_demo_on_the_command_line(tmp_path):
    command = ["augment", "--task", "sst2", "--demo", "--limit", "40", "--n", "5"]
    command += ["--engine", "local", "--workers", "1", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    first = start_ready("pipelines", command, environment, tmp_path)
    out, err = first.communicate(300)
    assert first.returncode == 0, err
    assert "40 (40 unique texts)" in out
    rows = pq.read_table(tmp_path / OUT / "augmented" / "data").to_pylist()
    assert len(rows) == 40 * 6
    assert rows[0]["sentence"] == read("train")[0][0]
    assert {edit["source"] for row in rows for edit in row["edits"]} == {"mlm", "glove"}
    manifest = json.loads((tmp_path / OUT / "augmented" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["rows"] == len(rows)
    again = start_ready("pipelines", command, environment, tmp_path)
    out, err = again.communicate(300)
    assert again.returncode == 0, err
    assert "nothing was run" in out


def test_questions_are_those_that_the_script_writes(tmp_path):
    build_questions(tmp_path)
    for part, paragraphs in (("train", 240), ("dev", 48)):
        name = f"{part}-v2.0.json"
        assert (tmp_path / name).read_bytes() == (SQUAD_PACK["data"] / name).read_bytes()
        [article] = json.loads((tmp_path / name).read_text(encoding="utf-8"))["data"]
        asked = [question for paragraph in article["paragraphs"] for question in paragraph["qas"]]
        assert (len(article["paragraphs"]), len(asked)) == (paragraphs, 4 * paragraphs)
        assert sum("is_impossible" in question for question in asked) == paragraphs


def test_demo_of_questions():
    options = typed("--task", "squad_v2")
    assert (options.data.data, options.output.out) == (SQUAD_PACK["data"], "runs/demo-squad")
    rows = open_task("squad_v2", options.data.data).split("train")
    assert sum(batch.num_rows for batch in rows.batches()) == 960
