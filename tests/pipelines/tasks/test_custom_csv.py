from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import UserError
from pipelines.tasks import CustomOptions, open_task
from tests.pipelines.tasks.reading import custom_rows, write


def test_quoting_lines_and_kept_columns(tmp_path):
    path = write(
        tmp_path / "reviews.csv",
        '\ufeffid,review,stars\r\n007,"two\nlines, ""quoted""",5\r\n8,plain \x00 "x",1\r\n8,,5',
    )
    rows, bad = custom_rows(path, "review", label="stars")
    assert rows == [
        {"source_idx": 0, "id": "007", "review": 'two\nlines, "quoted"', "stars": 1},
        {"source_idx": 1, "id": "8", "review": 'plain \x00 "x"', "stars": 0},
        {"source_idx": 2, "id": "8", "review": "", "stars": 1},
    ]
    assert bad == []


def test_long_fields(tmp_path):
    text = "word " * 400_000
    rows, _ = custom_rows(write(tmp_path / "long.csv", f'text,n\n"{text}",1\nshort,2\n'), "text")
    assert [row["text"] for row in rows] == [text, "short"]


def test_batches_of_long_rows_are_cut_by_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.tasks.readers.feed.BATCH_BYTES", 100)
    path = write(tmp_path / "long.csv", "text,n\n" + "".join(f"{'x' * 60},{n}\n" for n in range(5)))
    batches = open_task("custom", path, CustomOptions(("text",))).split("train").batches()
    assert [batch.num_rows for batch in batches] == [2, 2, 1]


def test_bad_rows_have_their_physical_line(tmp_path):
    path = write(
        tmp_path / "r.csv",
        b'text,y\n"two\nlines",a\nonly\na,b,c\n\n"bad \n\xff",a\n"x"y,a\ngood,b\n"open,a\nto the end,b\n\n',
    )
    rows, bad = custom_rows(path, "text", label="y")
    assert [(row["source_idx"], row["text"], row["y"]) for row in rows] == [(0, "two\nlines", 0), (6, "good", 1)]
    assert [(row.line, row.source_idx) for row in bad] == [(4, 1), (5, 2), (6, 3), (7, 4), (9, 5), (11, 7)]
    assert [row.error for row in bad] == [
        "expected 2 comma-separated fields, found 1",
        "expected 2 comma-separated fields, found 3",
        "expected 2 comma-separated fields, found a blank line",
        "expected UTF-8, found byte 0xff at byte 1 of the line (line 8)",
        "expected a CSV row, found a fault: ',' expected after '\"'",
        "expected a CSV row, found a fault: unexpected end of data; the quoted field may lack its closing quote",
    ]
    assert bad[0].text == "only"


@pytest.mark.parametrize(
    ("name", "row"), [("r.csv", "{},a"), ("r.tsv", "{}\ta"), ("r.jsonl", '{{"t": "{}", "y": "a"}}')]
)
def test_a_file_of_another_encoding_is_to_be_converted(tmp_path, name, row):
    lines = [row.format(text) for text in (*([] if name == "r.jsonl" else ["t"]), "gut", "tr\u00fcb")]
    path = write(tmp_path / name, "\n".join(lines).encode("latin1"))
    said = r"found byte 0xfc .*\. If the file is .*latin-1, convert it with `iconv .*`; else correct the row, or"
    with pytest.raises(UserError, match=said):
        list(open_task("custom", path, CustomOptions(("t",))).split("train").batches())


def test_blank_lines_of_a_single_column(tmp_path):
    csv_rows, bad = custom_rows(write(tmp_path / "one.csv", 'text\na\n\n""\nb\n\n'), "text")
    assert [row["text"] for row in csv_rows] == ["a", "", "", "b"]
    tsv_rows, more = custom_rows(write(tmp_path / "one.tsv", "text\na\n\nb\n\n"), "text")
    assert [row["text"] for row in tsv_rows] == ["a", "", "b", ""]
    assert bad == more == []


def test_tsv_has_no_quoting(tmp_path):
    rows, _ = custom_rows(write(tmp_path / "r.tsv", 'text\ty\n"open\tb\nx"y\ta\n'), "text", label="y")
    assert [(row["text"], row["y"]) for row in rows] == [('"open', 1), ('x"y', 0)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "found no bytes"),
        ("\n", "expected a header line"),
        ("text,text\na,b\n", "found twice: text"),
        ("text,variant\na,b\n", "no column named source_idx, variant, edits"),
        ("text,__texts\na,b\n", "which we add; found __texts"),
        ("Text,y\na,b\n", r"expected the text column 'text', found columns Text, y\. Did you mean 'Text'"),
        ("text,y\n", "expected rows, found none"),
        ("te\ufffdxt\r1,2\r", "header must be readable"),
        (b"te\xffxt,y\n1,2\n", "line 1: expected UTF-8.*iconv -f LATIN1"),
        ("text,y\n1,2\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_unusable_files_are_refused(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        custom_rows(write(tmp_path / "r.csv", content), "text")


def test_a_quote_that_is_open_from_the_first_row_on_is_named_with_a_label_too(tmp_path):
    for rows in ("a bad film,0\n", ""):
        path = write(tmp_path / "r.csv", f'text,y\n"a good film,1\n{rows}')
        with pytest.raises(UserError, match=r"r\.csv, line 2: .*may lack its closing quote.*Correct the row"):
            open_task("custom", path, CustomOptions(("text",), "y"))


def test_a_header_alone_has_no_rows_with_a_label_too(tmp_path):
    with pytest.raises(UserError, match=r"r\.csv: expected rows, found none"):
        custom_rows(write(tmp_path / "r.csv", "text,y\n"), "text", label="y")
    with pytest.raises(UserError, match=r"r\.csv: expected rows, found 1 bad one\."):
        custom_rows(write(tmp_path / "r.csv", 'text,y\n"open,1\n'), "text", label="y")


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        (
            "r.csv",
            "id;body\n1;a b\n",
            "found columns id;body. Its columns seem to be separated by ';': write the file with commas",
        ),
        ("r.tsv", "id,body\n1,a b\n", "separated by ',': write the file with tabs"),
        ("r.csv", "17,it does not start\n18,it stops\n", "first line looks like a row"),
        ("r.csv", f"a,{'word ' * 9}\nb,c\n", "first line looks like a row"),
        ("r.csv", "id,tekst\n1,a\n", "found columns id, tekst. Did you mean 'tekst'? Name it"),
    ],
)
def test_a_header_that_names_no_columns_gets_a_hint(tmp_path, name, content, hint):
    with pytest.raises(UserError) as caught:
        custom_rows(write(tmp_path / name, content), "text" if "tekst" in content else "body")
    assert hint in str(caught.value)


def test_a_row_without_its_label_is_shown_as_it_is_written(tmp_path):
    lines = '{"t": "x y", "y": 1}\n{"t": "x y"}\n'
    _, bad = custom_rows(write(tmp_path / "r.jsonl", lines), "t", label="y")
    assert [row.text for row in bad] == ['{"t": "x y"}']
    _, bad = custom_rows(write(tmp_path / "r.csv", 't,y\n"x, y",1\n"x, y",\n'), "t", label="y")
    assert [row.text for row in bad] == ['"x, y",']


@given(
    rows=st.lists(
        st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), max_size=20)] * 2), min_size=1, max_size=10
    )
)
def test_what_the_csv_module_writes_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "r.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("one", "two"), *rows])
    found, bad = custom_rows(path, "one", "two")
    assert [(row["one"], row["two"]) for row in found] == rows
    assert bad == []
