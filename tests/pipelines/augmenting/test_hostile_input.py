"""Input that nobody wishes for, through the whole job: kept, refused with file and line, or rejected."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipelines.jobs import done, everything, rebuilt, rejected, rows, tinyaug, variants

HOSTILE = {
    "longer than the window": "the film is very good and the story was bad , " * 12,
    "empty": "",
    "blank": "   ",
    "one word": "film",
    "one unknown word": "\u0e01\u0e01",
    "emoji": "a good film 🎬👩‍👩‍👧 and a 🇩🇪 story",
    "right to left": "the film شاهدت هذا الفيلم and סרט טוב was good",
    "NUL": "the film\x00is good",
    "control characters": "the\x01 film\x1b[31m is\x7f good \x85 \u2028 \ufeff",
    "combining": "the fi\u0301lm is go\u0308od",
    "special tokens": "[MASK] film [SEP] is [CLS] good [PAD] ##s",
    "quotes": 'the "film" is \\"good\\" , \'bad\'',
    "full width": "ｔｈｅ ｆｉｌｍ is 中文 good",
    "one word without an end": "x" * 20_000,
    "spaces": "  the   film\t is  good  ",
}
TEXTS = list(HOSTILE.values())
TOO_LONG = "film " * 210_000  # one field of 1 MB
LINES = ["the\nfilm is\r\n good", "\n"]


def write(folder, kind: str, texts: list[str]):
    path = folder / f"train.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"text": texts}), path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    else:
        quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
        path.write_bytes("\n".join(["text", *quoted, ""]).encode())
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_every_text_comes_back_and_every_variant_can_be_rebuilt(inputs, tmp_path, kind):
    texts = TEXTS + LINES
    done(*inputs.custom(write(tmp_path, kind, texts), tmp_path / "run", "--p", 0.9))
    found = rows(tmp_path / "run")
    assert [row["text"] for row in found if row["variant"] == 0] == texts
    assert [(row["source_idx"], row["variant"]) for row in found] == [
        (n, v) for n in range(len(texts)) for v in range(4)
    ]
    for row in found:
        assert rebuilt(row, {"text": texts[row["source_idx"]]}, "text") == row["text"]
    changed = {row["source_idx"] for row in found if row["edits"]}
    still = {"empty", "blank", "one unknown word", "one word without an end"}
    assert changed >= {number for number, name in enumerate(HOSTILE) if name not in still}


@pytest.mark.parametrize("preset", ["algorithm1", "official", "fast"])
def test_presets_survive_them_too(inputs, tmp_path, preset):
    done(*inputs.custom(write(tmp_path, "parquet", TEXTS), tmp_path / "run", "--preset", preset, "--p", 0.5))
    for row in rows(tmp_path / "run"):
        assert rebuilt(row, {"text": TEXTS[row["source_idx"]]}, "text") == row["text"]


def test_glue_files_without_quoting(inputs, tmp_path):
    texts = [text for text in TEXTS if "\t" not in text]
    folder = tmp_path / "SST-2"
    folder.mkdir()
    content = "sentence\tlabel\n" + "".join(f"{text}\t{number % 2}\n" for number, text in enumerate(texts))
    (folder / "train.tsv").write_bytes(b"\xef\xbb\xbf" + content.encode())
    done(*inputs.augment(tmp_path / "run", "--data", folder))
    assert [found[0] for found in variants(tmp_path / "run").values()] == texts


def test_same_text_and_same_id_again(inputs, tmp_path):
    data = tmp_path / "data.csv"
    data.write_text("id,text\n7,the film is good\n7,the film is good\n7,the film is good\n")
    done(*inputs.custom(data, tmp_path / "run", "--n", 6))
    found = variants(tmp_path / "run", "text")
    assert len(found) == 3
    assert len({tuple(texts) for texts in found.values()}) == 3  # drawn for each row anew
    assert [row["id"] for row in rows(tmp_path / "run")] == ["7"] * 21
    assert len(pq.read_table(next(tmp_path.glob("run/candidates/data/*")))) == 1


@pytest.mark.parametrize(("more", "code"), [((), 1), (("--allow-rejects",), 0)], ids=["failure", "allowed"])
def test_a_megabyte_in_one_field_is_rejected(inputs, tmp_path, more, code):
    path = write(tmp_path, "csv", ["a film", TOO_LONG, "a story"])
    ran = tinyaug(*inputs.custom(path, tmp_path / "run", *more))
    assert ran.code == code
    assert "1 row was rejected" in ran.out
    (one,) = rejected(tmp_path / "run")
    assert (one["source_idx"], one["column"], one["stage"], one["text"]) == (1, "text", "candidates", TOO_LONG[:200])
    assert one["error"] == "expected at most 5,000 words (--max-words), found 210,000"
    assert {row["source_idx"] for row in rows(tmp_path / "run")} == {0, 2}


def test_nothing_but_rejected_rows(inputs, tmp_path):
    ran = tinyaug(*inputs.custom(write(tmp_path, "csv", [TOO_LONG]), tmp_path / "run"))
    assert ran.code == 1
    assert rows(tmp_path / "run") == []


SST2 = "sentence\tlabel\na film\t0\n"
BAD = {
    "missing field": (SST2 + "a story\n", "line 3"),
    "too many fields": (SST2 + "a story\t1\tmore\n", "line 3"),
    "unknown label": (SST2 + "a story\t7\n", "line 3, column 'label'"),
    "empty label": (SST2 + "a story\t\n", "line 3, column 'label'"),
    "blank line": (SST2 + "\na story\t1\n", "line 3"),
    "not UTF-8": (SST2.encode() + b"a st\xffry\t1\n", "line 3"),
}


def glue(folder, content: str | bytes):
    (folder / "SST-2").mkdir(parents=True)
    (folder / "SST-2/train.tsv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / "SST-2"


@pytest.mark.parametrize(("content", "place"), BAD.values(), ids=BAD)
def test_bad_row_stops_the_job_with_file_and_line(inputs, tmp_path, content, place):
    data = glue(tmp_path, content)
    ran = tinyaug(*inputs.augment(tmp_path / "run", "--data", data))
    assert ran.code == 2
    assert f"{data / 'train.tsv'}, {place}" in ran.err
    assert "--on-bad-row skip" in ran.err
    assert not set(everything(tmp_path / "run")) - {".lock"}


@pytest.mark.parametrize(("content", "place"), BAD.values(), ids=BAD)
def test_bad_row_is_rejected_with_skip(inputs, tmp_path, content, place):
    data = glue(tmp_path, content)
    ran = tinyaug(*inputs.augment(tmp_path / "run", "--data", data, "--on-bad-row", "skip"))
    assert ran.code == 1
    (one,) = rejected(tmp_path / "run")
    assert (one["source_idx"], one["line"], one["stage"], one["file"]) == (1, 3, "read", str(data / "train.tsv"))
    good = [0, 2] if "blank" in str(content) or "\n\n" in str(content) else [0]
    assert list(variants(tmp_path / "run")) == good


def test_after_a_bad_row_is_put_right_the_same_command_works(inputs, tmp_path):
    data = glue(tmp_path, SST2 + "a story\t7\n")
    command = inputs.augment(tmp_path / "run", "--data", data)
    assert tinyaug(*command).code == 2
    (data / "train.tsv").write_text(SST2 + "a story\t1\n")
    done(*command)


def test_after_a_bad_row_skip_works_in_the_same_directory(inputs, tmp_path):
    command = inputs.augment(tmp_path / "run", "--data", glue(tmp_path, SST2 + "a story\t7\n"))
    assert tinyaug(*command).code == 2
    done(*command, "--on-bad-row", "skip", "--allow-rejects")


def test_bad_row_of_the_dev_part_stops_too_but_is_no_rejected_row_of_the_output(inputs, tmp_path):
    data = glue(tmp_path, SST2)
    (data / "dev.tsv").write_text(SST2 + "a story\t7\n")
    ran = tinyaug(*inputs.augment(tmp_path / "run", "--data", data))
    assert (ran.code, f"{data / 'dev.tsv'}, line 3" in ran.err) == (2, True)
    done(*inputs.augment(tmp_path / "run", "--data", data, "--on-bad-row", "skip"))
    assert not (tmp_path / "run/rejected.parquet").exists()
