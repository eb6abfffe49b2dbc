from __future__ import annotations

import csv
import io

import pytest

from pipelines.tasks import CustomOptions, open_task
from tests.pipelines.tasks.reading import custom_rows, glue_rows, write

ROWS = [["plain", "p"], ['she said "no"', "q"], ["a\ttab", "p"], ["two\nlines", "q"], ['"', "p"], ['""', "q"]]


def written(rows, **style):
    out = io.StringIO()
    csv.writer(out, delimiter="\t", lineterminator="\n", **style).writerows([["t", "y"], *rows])
    return out.getvalue()


def texts(path):
    rows, bad = custom_rows(path, "t", label="y")
    return [row["t"] for row in rows], [row.line for row in bad]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("rows", [ROWS, ROWS[:2], ROWS[:1] + ROWS[2:3], [["1", "last\nfield"], ["1", "x"]]])
def test_what_a_csv_writer_wrote(tmp_path, rows, quoting):
    path = write(tmp_path / "r.tsv", written(rows, quoting=quoting))
    assert texts(path) == ([row[0] for row in rows], [])
    assert [row["y"] for row in custom_rows(path, "t", "y")[0]] == [row[1] for row in rows]
    notes = open_task("custom", path, CustomOptions(("t",))).notes()
    assert len(notes) == 1
    assert "read with the quoting of CSV" in notes[0]


@pytest.mark.parametrize(
    "fields",
    [
        ['"a whole text in marks"', "plain"],
        ['"opened and not closed', "plain", 'closed here"'],
        ['"said" the first', 'in the "middle"', '""'],
        ["''", "it's", 'an inch"'],
        ['"wrapped ""well"" by chance"', '"not so "here""', '"nor here'],
        ['"both"', '"wrapped"'],
    ],
)
def test_files_without_quoting_keep_their_marks(tmp_path, fields):
    path = write(tmp_path / "r.tsv", "t\ty\n" + "".join(f"{field}\tp\n" for field in fields))
    assert texts(path) == (fields, [])
    wrapped = sum(len(field) > 1 and field[0] == field[-1] == '"' for field in fields)
    kept = f".tsv files: {wrapped} field{'s' * (wrapped > 1)} in quotation marks kept with them"
    said = (f"{kept}; if the marks are quoting, write the files as .csv",) if wrapped else ()
    assert open_task("custom", path, CustomOptions(("t",))).notes() == said


def test_all_files_of_a_task_are_read_alike(tmp_path):
    write(tmp_path / "train-0.tsv", 't\ty\n"hello"\tp\n')
    write(tmp_path / "train-1.tsv", 't\ty\n"he said ""no"""\tq\n')
    write(tmp_path / "dev.tsv", 't\ty\n"bye"\tp\n')
    assert [row["t"] for row in custom_rows(tmp_path, "t", label="y")[0]] == ["hello", 'he said "no"']
    assert [row["t"] for row in custom_rows(tmp_path, "t", label="y", part="validation")[0]] == ["bye"]
    (tmp_path / "train-1.tsv").unlink()
    assert [row["t"] for row in custom_rows(tmp_path, "t", label="y")[0]] == ['"hello"']


def test_a_wrapped_header_is_quoting(tmp_path):
    path = write(tmp_path / "r.tsv", written(ROWS[:1], quoting=csv.QUOTE_ALL))
    assert texts(path) == (["plain"], [])


def test_a_single_column_may_have_fields_of_several_lines(tmp_path):
    path = write(tmp_path / "r.tsv", 't\n"line one\nline two"\nplain\n')
    assert [row["t"] for row in custom_rows(path, "t")[0]] == ["line one\nline two", "plain"]


def test_short_rows_say_nothing_of_quoting(tmp_path):
    path = write(tmp_path / "r.tsv", 't\ty\n"bye"\n"foo"\n"he said ""x"""\tp\n')
    assert texts(path) == (['he said "x"'], [2, 3])


def test_a_damaged_row_of_a_quoted_file_is_bad(tmp_path):
    path = write(tmp_path / "r.tsv", written(ROWS) + '"cut off\tp\n')
    assert texts(path) == ([row[0] for row in ROWS], [9])


def test_the_lines_of_bad_rows_are_kept(tmp_path):
    path = write(tmp_path / "r.tsv", written(ROWS) + "too\tmany\tfields\n")
    assert texts(path) == ([row[0] for row in ROWS], [9])


def test_tasks_of_glue_stay_without_quoting(tmp_path):
    write(tmp_path / "train.tsv", 'sentence\tlabel\n"she said ""no"""\t1\n')
    assert glue_rows("sst2", tmp_path)[0][0]["sentence"] == '"she said ""no"""'
