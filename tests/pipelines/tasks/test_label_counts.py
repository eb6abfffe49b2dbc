"""Classes and their counts: counted as rows are read, and said where a job starts and in its plan."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipelines.tasks import Label
from pipelines.tasks.label_counts import LabelCounter, label_words
from tests.pipelines.jobs import done

SPAM = Label("label", "class", ("Spam", "ham", "spam"))


def counted(label: Label, *batches: list) -> list[float]:
    counter = LabelCounter(label)
    for labels in batches:
        counter.add(pa.table({"label": labels}))
    return counter.found()


def test_classes_are_counted_and_rows_without_a_label_passed_over():
    found = counted(SPAM, [0, 1, 1], [-1, 1, 2])
    assert found == [1, 3, 1]
    assert label_words(SPAM, {"train": found})[0] == ("classes of train: Spam 1, ham 3, spam 1",)


def test_scores_have_a_range():
    label = Label("label", "score")
    found = counted(label, [0.5, 4.0], [1.5])
    assert found == [0.5, 2.0, 4.0]
    assert label_words(label, {"train": found}) == (("scores of train: 0.5 to 4, mean 2",), ())


def test_no_labels_have_no_words():
    label = Label(None, "none")
    assert counted(label, [1]) == []
    assert label_words(label, {"train": []}) == ((), ())


def test_many_classes_are_shortened():
    label = Label("label", "class", tuple(f"c{number:02}" for number in range(25)))
    ((said,), _) = label_words(label, {"train": [1] * 24 + [1_000]})
    assert said.startswith("classes of train: c00 1, c01 1, ")
    assert said.endswith("c19 1, … (25 in all)")


def test_names_that_differ_by_case_and_classes_without_rows():
    assert label_words(SPAM, {"train": [1, 3, 1], "validation": [0, 2, 0]})[1] == (
        "classes whose names differ by case alone: Spam and spam; correct the data if they are one class",
        "no row of validation is of the class Spam, spam",
    )
    assert label_words(Label("label", "class", ("a", "b")), {"train": [1, 1]})[1] == ()


@pytest.mark.parametrize("more", [(), ("--limit", 3)])
def test_augment_says_its_classes(inputs, tmp_path, more):
    """In its plan, at its start, and when it goes on."""
    path = tmp_path / "mail.csv"
    path.write_text("text,label\n" + "".join(f"a {word} film,{label}\n" for word, label in
                    (("good", "spam"), ("bad", "ham"), ("dull", "Spam"), ("sad", "ham"), ("new", "ham"))))  # fmt: skip
    command = inputs.custom(path, tmp_path / "out", "--label", "label", *more)
    said = "classes of train: Spam 1, ham 1, spam 1" if more else "classes of train: Spam 1, ham 3, spam 1"
    twins = "warning: classes whose names differ by case alone: Spam and spam; correct"
    planned = done(*command, "--dry-run").out
    assert said in planned
    assert twins in planned
    for _ in range(2):
        ran = done(*command).err
        assert said in ran
        assert twins in ran
