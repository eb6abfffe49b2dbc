"""A share of the train rows as dev part: by class, by text, the same for whoever asks, and never trained on."""

from __future__ import annotations

import random
from collections import Counter

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.errors import UserError
from pipelines.tasks import CustomOptions, open_task
from tests.pipelines.jobs import augment, done, refused, rows
from tests.pipelines.tasks.reading import rows_of, write
from tests.pipelines.training.verbs import evaluate, finetune, metrics, run, run_json

CLASSES = {"bill": 80, "tech": 60, "law": 10}
TICKETS = [(f"{name} ticket {place}", name) for name, count in CLASSES.items() for place in range(count)]


def split(path, tickets, share=0.1, **options):
    write(path, "\n".join(["t,y", *(f"{text},{label}" for text, label in tickets), ""]))
    opened = open_task("custom", path, CustomOptions(("t",), "y", dev_split=share, **options), on_bad=lambda _: None)
    return {part: rows_of(opened.split(part)) for part in opened.parts}


def test_every_class_gives_its_share_in_whatever_order_the_rows_come(tmp_path):
    found = split(tmp_path / "a.csv", TICKETS)
    names = ("bill", "law", "tech")
    assert {part: [Counter(row["y"] for row in some)[one] for one in range(3)] for part, some in found.items()} == {
        "train": [72, 9, 54],
        "validation": [8, 1, 6],
    }
    assert {row["source_idx"] for some in found.values() for row in some} == set(range(150))
    assert all(TICKETS[row["source_idx"]] == (row["t"], names[row["y"]]) for some in found.values() for row in some)
    shuffled = split(tmp_path / "b.csv", random.Random(1).sample(TICKETS, 150))
    assert {row["t"] for row in shuffled["validation"]} == {row["t"] for row in found["validation"]}


def test_equal_texts_stay_together(tmp_path):
    tickets = TICKETS + [(text, "tech") for text, _ in TICKETS[:80]] + [("the same text", "bill")] * 70
    found = split(tmp_path / "a.csv", tickets)
    train, dev = ({row["t"] for row in found[part]} for part in ("train", "validation"))
    assert not train & dev
    assert "the same text" in train  # more rows than the share of its class has


def test_bad_rows_are_of_no_part(tmp_path):
    found = split(
        tmp_path / "a.csv", [*TICKETS[:70], ("no class", ""), *TICKETS[70:]], label_names=("bill", "law", "tech")
    )
    numbers = {row["source_idx"] for some in found.values() for row in some}
    assert numbers == set(range(151)) - {70}


def test_scores_and_classes_without_rows(tmp_path):
    scores = split(tmp_path / "a.csv", [(f"text {place}", place / 3) for place in range(40)], label_type="score")
    assert [len(some) for some in scores.values()] == [36, 4]
    told = split(tmp_path / "b.csv", TICKETS, label_names=("bill", "none", "law", "tech"))
    assert len(told["validation"]) == 15


@pytest.mark.parametrize(
    ("tickets", "share", "said"),
    [
        (
            [*TICKETS, ("one", "rare"), ("two", "rare")],
            0.1,
            "class rare to both parts, from 0.50 to 0.50 .*found 2 with 2 different texts, 0 of",
        ),
        ([*TICKETS, ("one", "rare"), ("two", "rare")], 0.9, "found 2 with 2 different texts, 2 of them for dev"),
        (
            [*TICKETS, *[("same", "rare")] * 20],
            0.5,
            "rare to both parts, found 20 with 1 different text, 0 of them",
        ),
    ],
)
def test_too_few_rows(tmp_path, tickets, share, said):
    with pytest.raises(UserError, match=said):
        split(tmp_path / "a.csv", tickets, share)


def test_what_is_refused(parts, tmp_path):
    custom = ("--task", "custom", "--text", "sentence")
    command = finetune(parts, tmp_path / "out", *custom, "--label", "label", "--dev-split", 0.1)
    assert "expected data without a dev part, found dev.tsv" in refused(command)
    file = ("--data", parts.data / "train.tsv", "--dev-split", 0.1)
    assert "expected a task with labels" in refused(finetune(parts, tmp_path / "out", *custom, *file))
    assert "expected --task custom" in refused(finetune(parts, tmp_path / "out", "--dev-split", 0.1))
    assert not (tmp_path / "out").exists()


def test_a_run_trains_on_no_variant_of_a_dev_row(parts, tmp_path):
    pd.read_csv(parts.data / "train.tsv", sep="\t").to_csv(tmp_path / "data.csv", index=False)
    custom = ("--task", "custom", "--text", "sentence", "--label", "label", "--data", tmp_path / "data.csv")
    done(*run(parts, tmp_path / "run", *custom, "--dev-split", 0.2, "--max-steps", 2))
    held = pq.read_table(tmp_path / "run/input/held-out.parquet").column("sentence").to_pylist()
    augmented = rows(tmp_path / "run")
    assert (len(held), len({row["source_idx"] for row in augmented})) == (12, 48)
    assert {*held}.isdisjoint(row["sentence"] for row in augmented if row["variant"] == 0)
    for folder in ("teacher", "student"):
        assert run_json(tmp_path / "run" / folder)["task"]["dev_split"] == 0.2
    assert [one["name"] for one in run_json(tmp_path / "run")["identity"]["inputs"]] == ["data.csv"]
    judged = metrics(tmp_path / "run")
    assert judged["dev_rows"] == {"validation": 12}
    said = done(*evaluate(parts, tmp_path / "run/student", *custom, "--dev-split", 0.2, "--max-length", 32)).out
    assert f"{judged['dev']['student']['validation']['accuracy']:.4f}" in said
    other = ("--train", tmp_path / "run/augmented", "--dev-split", 0.4)
    assert "texts of the dev part" in refused(finetune(parts, tmp_path / "out", *custom, *other))


@pytest.fixture(scope="module")
def custom(parts, tmp_path_factory):
    """A file without a dev part, rows that were augmented of it without --dev-split, and the options that name it."""
    folder = tmp_path_factory.mktemp("custom")
    pd.read_csv(parts.data / "train.tsv", sep="\t").to_csv(folder / "data.csv", index=False)
    named = ("--task", "custom", "--text", "sentence", "--label", "label", "--data", folder / "data.csv")
    done(*augment(parts, folder / "data.csv", folder / "whole", *named))
    done(*augment(parts, folder / "data.csv", folder / "split", *named, "--dev-split", 0.2))
    return folder, named


def train(parts, custom, tmp_path, table, *more) -> list[str]:
    """A fine-tuning on rows of somebody's own."""
    (tmp_path / "own").mkdir()
    pq.write_table(table, tmp_path / "own/rows.parquet")
    _, named = custom
    options = ("--dev-split", 0.2, "--train", tmp_path / "own", "--max-steps", 1)
    return finetune(parts, tmp_path / "out", *named, *options, *more)


def table_of(run_folder):
    return pq.read_table(run_folder / "augmented/data")


def test_augmented_rows_are_not_split(parts, custom, tmp_path):
    folder, named = custom
    augmented = (*named, "--data", folder / "whole/augmented", "--dev-split", 0.2)
    assert "expected original rows" in refused(finetune(parts, tmp_path / "out", *augmented))


def test_rows_of_ones_own_may_not_be_dev_rows(parts, custom, tmp_path):
    table = pa.Table.from_pandas(pd.read_csv(custom[0] / "data.csv"), preserve_index=False)
    said = refused(train(parts, custom, tmp_path, table.append_column("variant", pa.array(["b"] * len(table)))))
    assert "found 11 texts of the dev part (row " in said
    assert "leave these rows and their variants out" in said


@pytest.mark.parametrize("left_out", [["edits"], ["edits", "source_idx"], ["edits", "variant"], []])
def test_augmented_rows_without_some_of_our_columns(parts, custom, tmp_path, left_out):
    table = table_of(custom[0] / "whole").drop_columns(left_out)
    assert "found 11 texts of the dev part" in refused(train(parts, custom, tmp_path, table))


def test_augmented_rows_without_their_originals(parts, custom, tmp_path):
    table, train_rows = table_of(custom[0] / "whole"), table_of(custom[0] / "split")["source_idx"]
    of_train = pc.is_in(table["source_idx"], value_set=train_rows.combine_chunks())
    variants = table.filter(pc.or_(pc.greater(table["variant"], 0), of_train))  # dev rows were left out, but not theirs
    said = refused(train(parts, custom, tmp_path, variants))
    assert "found variants without originals, of 12 rows of the dev part (source_idx " in said


def test_rows_in_another_order_were_split_alike(parts, custom, tmp_path):
    folder, _ = custom
    ordered = pd.read_csv(folder / "data.csv").sort_values("sentence")
    ordered.to_csv(tmp_path / "sorted.csv", index=False)
    done(*train(parts, custom, tmp_path, table_of(folder / "split"), "--data", tmp_path / "sorted.csv"))


def test_a_variant_that_equals_a_dev_row_is_a_train_row(parts, custom, tmp_path):
    columns = ["source_idx", "variant", "sentence", "label"]
    whole, split = (table_of(custom[0] / name).select(columns).to_pylist() for name in ("whole", "split"))
    kept = {row["sentence"] for row in split if row["variant"] == 0}
    held = next(row for row in whole if row["variant"] == 0 and row["sentence"] not in kept)
    next(row for row in split if row["variant"] == 1)["sentence"] = held["sentence"]
    done(*train(parts, custom, tmp_path, pa.Table.from_pylist(split)))
