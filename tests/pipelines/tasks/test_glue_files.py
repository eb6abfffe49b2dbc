from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import UserError
from pipelines.tasks import BadRow, open_task, stop_or_skip
from tests.pipelines.tasks.reading import glue_rows, rows_of, write

LAYOUTS = {
    "sst2": ("train.tsv", "sentence\tlabel\na warm film \t1\n", {"sentence": "a warm film ", "label": 1}),
    "cola": ("train.tsv", "xy01\t0\t*\tHim sleeps.\n", {"sentence": "Him sleeps.", "label": 0}),
    "mrpc": (
        "msr_paraphrase_train.txt",
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tIt rained.\tRain fell.\r\n",
        {"sentence1": "It rained.", "sentence2": "Rain fell.", "label": 1},
    ),
    "stsb": (
        "train.tsv",
        "index\tgenre\tsentence1\tsentence2\tscore\n0\tg\tA cat.\tA dog.\t2.500\n",
        {"sentence1": "A cat.", "sentence2": "A dog.", "label": 2.5},
    ),
    "qqp": (
        "train.tsv",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n5\t1\t2\tWhy?\tHow?\t0\n",
        {"question1": "Why?", "question2": "How?", "label": 0},
    ),
    "mnli": (
        "train.tsv",
        "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tIt snows.\tIt is hot.\tneutral\tcontradiction\n",
        {"premise": "It snows.", "hypothesis": "It is hot.", "label": 2},
    ),
    "qnli": (
        "train.tsv",
        "index\tquestion\tsentence\tlabel\n0\tWho?\tHe did.\tentailment\n",
        {"question": "Who?", "sentence": "He did.", "label": 0},
    ),
    "rte": (
        "train.tsv",
        "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tnot_entailment\n",
        {"sentence1": "A.", "sentence2": "B.", "label": 1},
    ),
    "wnli": (
        "train.tsv",
        "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\t1\n",
        {"sentence1": "A.", "sentence2": "B.", "label": 1},
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_of_each_task(tmp_path, name):
    file, content, expected = LAYOUTS[name]
    write(tmp_path / file, content)
    rows, bad = glue_rows(name, tmp_path)
    assert rows == [{"source_idx": 0, **expected, "idx": 0}]
    assert bad == []


def test_schema_is_the_hubs(tmp_path):
    write(tmp_path / "train.tsv", LAYOUTS["sst2"][1])
    write(tmp_path / "b" / "train.tsv", LAYOUTS["stsb"][1])
    split = open_task("sst2", tmp_path).split("train")
    assert split.schema == pa.schema([("sentence", pa.string()), ("label", pa.int64()), ("idx", pa.int32())])
    assert next(split.batches()).schema.names == ["source_idx", "sentence", "label", "idx"]
    assert open_task("stsb", tmp_path / "b").split("train").schema.field("label").type == pa.float32()


@pytest.mark.parametrize(
    ("name", "file", "part", "content", "label"),
    [
        ("sst2", "test.tsv", "test", "index\tsentence\n0\ta film\n", -1),
        ("cola", "test.tsv", "test", "index\tsentence\n0\tShe ran.\n", -1),
        ("stsb", "test.tsv", "test", "index\tsentence1\tsentence2\n0\ta\tb\n", -1.0),
        ("mrpc", "test.tsv", "test", "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\ta\tb\n", -1),
        ("mrpc", "msr_paraphrase_test.txt", "test", "Quality\t#1 String\t#2 String\n1\ta\tb\n", 1),
        ("qqp", "test.tsv", "test", "id\tquestion1\tquestion2\n0\ta\tb\n", -1),
        ("mnli", "test_matched.tsv", "test_matched", "index\tsentence1\tsentence2\n0\ta\tb\n", -1),
        ("mnli", "dev_mismatched.tsv", "validation_mismatched", "sentence1\tsentence2\tgold_label\na\tb\tneutral\n", 1),
        ("cola", "dev.tsv", "validation", "xy\t1\t\tShe ran.\n", 1),
    ],
)
def test_held_out_parts(tmp_path, name, file, part, content, label):
    write(tmp_path / file, content)
    task = open_task(name, tmp_path)
    assert task.held_out() == (part,)
    assert [row["label"] for row in rows_of(task.split(part))] == [label]


@pytest.mark.parametrize("folder", ["SST-2", "sst2", "SST_2"])
def test_folder_one_level_above(tmp_path, folder):
    write(tmp_path / folder / "train.tsv", LAYOUTS["sst2"][1])
    assert len(glue_rows("sst2", tmp_path)[0]) == 1


def test_a_file_is_the_train_part(tmp_path):
    path = write(tmp_path / "some.tsv", LAYOUTS["sst2"][1])
    task = open_task("sst2", path)
    assert task.held_out() == ()
    assert len(rows_of(task.split("train"))) == 1


def test_missing_part_names_the_file(tmp_path):
    write(tmp_path / "dev.tsv", LAYOUTS["qnli"][1])
    with pytest.raises(UserError, match=r"expected train\.tsv for the 'train' part of qnli, found parts: validation"):
        open_task("qnli", tmp_path).split("train")


def test_empty_folder_and_no_folder(tmp_path):
    with pytest.raises(UserError, match=r"expected train\.tsv, dev\.tsv, test\.tsv, or a folder such as RTE/"):
        open_task("rte", tmp_path)
    with pytest.raises(UserError, match="found nothing there"):
        open_task("rte", tmp_path / "nowhere")


def test_missing_column_shows_the_header(tmp_path):
    write(tmp_path / "train.tsv", "sentence,label\na film,1\n")
    with pytest.raises(UserError, match=r"expected the column 'sentence' of sst2, found the header 'sentence,label'"):
        open_task("sst2", tmp_path).split("train")


def test_other_formats_point_to_custom(tmp_path):
    path = write(tmp_path / "train.csv", "sentence,label\na film,1\n")
    with pytest.raises(UserError, match="use --task custom"):
        open_task("sst2", path).split("train")


def test_hostile_characters_are_kept(tmp_path):
    text = '"half quoted, \u2028 \x0b \x0c \x1c \x85 \x00 \ufeff 中\U0001f600 \r inside'
    write(tmp_path / "train.tsv", f"sentence\tlabel\n{text}\t1\n\t0\n{text}\t1")
    rows, bad = glue_rows("sst2", tmp_path)
    assert [(row["source_idx"], row["sentence"], row["label"]) for row in rows] == [
        (0, text, 1),
        (1, "", 0),
        (2, text, 1),
    ]
    assert bad == []


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    write(tmp_path / "train.tsv", "\ufeffsentence\tlabel\r\na film\t1\r\n")
    assert glue_rows("sst2", tmp_path)[0][0]["sentence"] == "a film"
    assert glue_rows("sst2", tmp_path)[0][0]["label"] == 1


def test_bad_rows_are_reported_and_numbers_do_not_shift(tmp_path):
    write(
        tmp_path / "train.tsv",
        b"sentence\tlabel\ngood\t1\nno label\nthree\tfields\t1\nodd\t2\n\nlatin \xe9\t0\nempty\t\nlast\t0\n\n\n",
    )
    rows, bad = glue_rows("sst2", tmp_path)
    assert [(row["source_idx"], row["idx"], row["sentence"]) for row in rows] == [(0, 0, "good"), (7, 7, "last")]
    assert [(row.line, row.source_idx, row.column) for row in bad] == [
        (3, 1, None),
        (4, 2, None),
        (5, 3, "label"),
        (6, 4, None),
        (7, 5, None),
        (8, 6, "label"),
    ]
    assert [row.error for row in bad] == [
        "expected 2 tab-separated fields, found 1",
        "expected 2 tab-separated fields, found 3",
        "expected a label (negative, positive, 0, 1), found '2'",
        "expected 2 tab-separated fields, found a blank line",
        "expected UTF-8, found byte 0xe9 at byte 7 of the line",
        "expected a label (negative, positive, 0, 1), found an empty field",
    ]
    assert bad[0].file == str(tmp_path / "train.tsv")
    assert bad[2].text == "odd\t2"


def test_the_first_bad_row_stops_by_default(tmp_path):
    path = write(tmp_path / "train.tsv", "sentence\tlabel\ngood\t1\nodd\t7\n")
    with pytest.raises(UserError) as caught:
        rows_of(open_task("sst2", tmp_path).split("train"))
    message = str(caught.value)
    assert f"{path}, line 3, column 'label': expected a label" in message
    assert "found '7'" in message
    assert message.endswith("Correct the row, or take it out of the file.")
    with pytest.raises(UserError, match=r"or pass --on-bad-row skip, which moves .* rejected\.parquet"):
        rows_of(open_task("sst2", tmp_path, on_bad=stop_or_skip).split("train"))


@pytest.mark.parametrize("score", ["5.1", "-0.1", "nan", "inf", "1e999", "1_0", "high", ""])
def test_scores_out_of_range_are_bad(tmp_path, score):
    write(tmp_path / "train.tsv", f"sentence1\tsentence2\tscore\na\tb\t{score}\nc\td\t5\n")
    rows, bad = glue_rows("stsb", tmp_path)
    assert [row["label"] for row in rows] == [5.0]
    assert [(row.line, row.column) for row in bad] == [(2, "label")]


def test_unknown_gold_label_of_mnli_is_bad(tmp_path):
    write(tmp_path / "dev_matched.tsv", "sentence1\tsentence2\tgold_label\na\tb\t-\nc\td\tentailment\n")
    rows, bad = glue_rows("mnli", tmp_path, "validation_matched")
    assert [row["source_idx"] for row in rows] == [1]
    assert "found '-'" in bad[0].error


@pytest.mark.parametrize("content", ["", "\n", "sentence\tlabel", "sentence\tlabel\n", "sentence\tlabel\n\n"])
def test_a_file_without_rows_is_refused(tmp_path, content):
    write(tmp_path / "train.tsv", content)
    with pytest.raises(UserError, match="expected"):
        glue_rows("sst2", tmp_path)


def test_a_file_of_bad_rows_alone_is_refused(tmp_path):
    write(tmp_path / "train.tsv", "sentence\tlabel\nx\ny\n")
    with pytest.raises(UserError, match="found 2 bad ones"):
        glue_rows("sst2", tmp_path)


def test_utf16_is_named(tmp_path):
    write(tmp_path / "train.tsv", "sentence\tlabel\nx\t1\n".encode("utf-16"))
    with pytest.raises(UserError, match="UTF-16"):
        glue_rows("sst2", tmp_path)


def test_limit_batches_and_counts(tmp_path):
    write(tmp_path / "train.tsv", "sentence\tlabel\n" + "".join(f"text {n}\t{n % 3}\n" for n in range(10)))
    bad: list[BadRow] = []
    split = open_task("sst2", tmp_path, on_bad=bad.append).split("train")
    assert [row["source_idx"] for row in rows_of(split, limit=5)] == [0, 1, 3, 4]
    assert [row.source_idx for row in bad] == [2]
    assert split.files[0].rows is None
    assert [batch.num_rows for batch in split.batches(rows=3)] == [2, 2, 2, 1]  # a bad row of each three
    (file,) = split.files
    assert (file.name, file.rows, file.bytes) == ("train.tsv", 10, (tmp_path / "train.tsv").stat().st_size)
    assert len(file.sha256) == 64
    with pytest.raises(ValueError, match="at least 1"):
        split.batches(limit=0)


def test_an_endless_line_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.tasks.readers.lines.MAX_LINE", 50)
    write(tmp_path / "train.tsv", "sentence\tlabel\n" + "x" * 180 + "\t1\nshort\t1\n" + "y" * 51)
    rows, bad = glue_rows("sst2", tmp_path)
    assert [row["sentence"] for row in rows] == ["short"]
    assert [(row.line, row.error) for row in bad] == [
        (2, "expected a line of at most 50 bytes, found a longer one"),
        (4, "expected a line of at most 50 bytes, found a longer one"),
    ]


def test_options_that_do_not_go_together(tmp_path):
    write(tmp_path / "train.tsv", LAYOUTS["sst2"][1])
    with pytest.raises(UserError, match="--data-revision main belongs to the hub"):
        open_task("sst2", tmp_path, revision="main")


TEXT = st.text(st.characters(exclude_characters="\t\n", exclude_categories=["Cs"]), max_size=30)


@given(rows=st.lists(st.tuples(TEXT, st.sampled_from([0, 1])), min_size=1, max_size=20))
def test_any_text_comes_back_identical(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    write(folder / "train.tsv", "sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    found, bad = glue_rows("sst2", folder)
    assert [(row["sentence"], row["label"]) for row in found] == rows
    assert bad == []


def test_a_missing_label_is_named_without_an_option_that_glue_has_not(tmp_path):
    write(tmp_path / "train.tsv", "sentence\tlabel\na\t-1\nb\t1\n")
    [bad] = glue_rows("sst2", tmp_path)[1]
    assert bad.error.endswith("found '-1' (a missing label)")
