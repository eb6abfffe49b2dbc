"""Numbers of variants by class, and classes made as large as the largest."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from augment.draw import ALL_COLUMNS, DrawEach, plan_jobs
from pipelines.classes.numbers import balanced, of_rows, resolve
from pipelines.errors import UserError
from pipelines.options.drawing import ByClass, variant_numbers
from pipelines.tasks import Label, Task
from tests.pipelines.jobs import contents, done, manifest, refused, rows
from tests.pipelines.training.verbs import run_json

TICKETS = Task("custom", ("text",), Label("queue", "class", ("bill", "law", "tech")))
LOCAL = ("--engine", "local", "--workers", "1")


def test_what_was_typed():
    assert variant_numbers("20") == 20
    assert variant_numbers("law=4, a=b=2 ,1") == ByClass((("law", 4), ("a=b", 2)), 1)
    for wrong in ("", "x", "1,2", "a=1,a=2", "a=1.5", "a=-1", "a=10001"):
        with pytest.raises(ValueError, match="an integer"):
            variant_numbers(wrong)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("law=4,bill=0,tech=2", (0, 4, 2)),
        ("1=4,2", (2, 4, 2)),
        ("bill=3,law=1", "none for tech; add tech=N"),
        ("lae=4,2", "bill, law, tech), or its number from 0, found 'lae'. Did you mean 'law'"),
        ("3=4,2", "found '3'"),
        ("law=4,1=5,2", "found law twice"),
    ],
)
def test_classes_by_name_or_number(typed, found):
    asked = variant_numbers(typed)
    assert isinstance(asked, ByClass)
    if isinstance(found, tuple):
        assert resolve(asked, TICKETS) == found
        return
    with pytest.raises(UserError) as caught:
        resolve(asked, TICKETS)
    assert found in str(caught.value)


def test_numbers_that_balance():
    """Of 5 rows with 2 variants each there are 15: 2 rows need 13 more, one gets 7 and one 6; 4 rows need 11."""
    assert balanced(TICKETS.label, [5, 2, 4], 2, 1) == ((2, 0), (6, 1), (2, 3))
    assert balanced(TICKETS.label, [5, 2, 0], 2, 2) == ((2, 0), (5, 1), (0, 0))  # 25 rows: 23 // 2 pairs of variants
    labels = np.array([2, 0, 1, 0, 2, 1, 2, 0, 0, 2, 0])
    assert of_rows(labels, ((2, 0), (6, 1), (2, 3))).tolist() == [3, 2, 7, 2, 3, 6, 3, 2, 2, 2, 2]
    with pytest.raises(UserError, match="rows of bill alone"):
        balanced(TICKETS.label, [5, 0, 0], 2, 1)
    with pytest.raises(UserError, match=r"found 1 of law beside 9,000"):
        balanced(TICKETS.label, [9_000, 1, 9_000], 2, 1)


def test_examples_with_their_own_numbers_of_variants():
    jobs = plan_jobs(np.array([4, 9, 11]), np.zeros((3, 2), np.int64), DrawEach(pairs="each", each=np.array([1, 0, 2])))
    assert jobs.source_idx.tolist() == [4, 4, 4, 9, 11, 11, 11, 11, 11]
    assert jobs.variants.tolist() == [0, 1, 2, 0, 0, 1, 2, 3, 4]
    assert jobs.columns.tolist() == [ALL_COLUMNS, 0, 1, ALL_COLUMNS, ALL_COLUMNS, 0, 0, 1, 1]


def test_the_variants_of_a_class_are_those_of_a_plain_run(inputs, finished, tmp_path):
    done("resample", "--candidates", finished, "--out", tmp_path / "run", "--n", "positive=3,1", *LOCAL)
    expected = [row for row in rows(finished) if row["variant"] <= (3 if row["label"] else 1)]
    assert rows(tmp_path / "run") == expected
    counts = Counter(row["label"] for row in expected)
    told = {name: manifest(tmp_path / "run")["counts"][f"rows_of_class {name}"] for name in ("negative", "positive")}
    assert told == {"negative": counts[0], "positive": counts[1]}
    done(*inputs.augment(tmp_path / "whole", "--shard-rows", 10, "--n", "0=1,1=3"))
    assert rows(tmp_path / "whole") == expected
    settings = run_json(tmp_path / "whole")["identity"]["settings"]
    assert (settings["by_class"], settings["draw"]["n"]) == ([1, 3], 3)
    again = refused(inputs.augment(tmp_path / "whole", "--shard-rows", 10, "--n", "0=1,1=2"))
    assert "--n: [1, 3] there, [1, 2] now" in again
    done("resample", "--candidates", tmp_path / "whole", "--out", tmp_path / "plain", "--n", 3, *LOCAL)
    assert rows(tmp_path / "plain") == rows(finished)


def test_balanced_for_any_number_of_workers_and_shards(inputs, finished, tmp_path):
    texts = [row["sentence"] for row in rows(finished) if row["variant"] == 0]
    lines = [f'"{text}",{"law" if place % 7 == 3 else "tech"}' for place, text in enumerate(texts)]  # 9 and 51 of 60
    (tmp_path / "data.csv").write_text("\n".join(["text,label", *lines, ""]))
    told = ("--label", "label", "--balance", "--n", 2, "--shard-rows", 7)
    command = inputs.custom(tmp_path / "data.csv", tmp_path / "one", *told)
    assert "306 with the originals" in done(*command, "--dry-run").out
    assert "law 153, tech 153" in done(*command).out
    assert Counter(row["label"] for row in rows(tmp_path / "one")) == {0: 153, 1: 153}
    of_law = Counter(row["source_idx"] for row in rows(tmp_path / "one") if not row["label"])
    assert list(of_law.items()) == [(place, 17) for place in range(3, 60, 7)]
    done(*inputs.custom(tmp_path / "data.csv", tmp_path / "two", *told, "--workers", 2))
    shards = [{n: one for n, one in contents(tmp_path / run).items() if "augmented" in n} for run in ("one", "two")]
    assert shards[0] == shards[1]
    assert "N = 2 of the largest class" in (tmp_path / "one/augmented/README.md").read_text()
    done("resample", "--candidates", tmp_path / "one", "--no-balance", "--n", 1, "--out", tmp_path / "plain", *LOCAL)
    assert rows(tmp_path / "plain") == [row for row in rows(tmp_path / "one") if row["variant"] < 2]


@pytest.mark.parametrize(
    ("file", "more", "said"),
    [
        ("a,x\nb,x\n", ("--balance",), "found the class x alone"),
        ("a,x\nb,x\n", ("--balance", "--label-names", "x,y"), "found rows of x alone"),
        ("a,x\nb,y\n", ("--balance", "--n", "x=2,1"), "expected a plain --n beside it"),
        ("a,0.5\nb,0.7\n", ("--balance", "--label-type", "score"), "found custom with scores"),
        ("a,0.5\nb,0.7\n", ("--n", "x=2", "--label-type", "score"), "--n: expected a task with classes"),
        ("a,x\nb,y\n", ("--n", "z=2,1"), "--n z=2: expected a class of custom (x, y)"),
        ("a,x\nb,y\n", ("--n", "x=0,y=0"), "--n: expected variants of some rows at least, found 0 of each"),
        ("a,x\nb,y\n", ("--n", "0"), "--n: expected variants of some rows at least, found 0 of each"),
    ],
)
def test_what_is_refused(inputs, tmp_path, file, more, said):
    (tmp_path / "data.csv").write_text("text,queue\n" + file)
    command = inputs.custom(tmp_path / "data.csv", tmp_path / "run", "--label", "queue", *more)
    assert said in refused(command)
    assert said in refused([*command, "--dry-run"])
    assert not (tmp_path / "run").exists()
