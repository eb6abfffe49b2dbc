"""Reading a corpus: every format gives the same sentences, in bounded memory; what is no text is named."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import UserError
from pipelines.training import corpus_lines
from pipelines.training.corpus import open_files
from pipelines.training.corpus_hub import open_corpus
from pipelines.training.general_request import CorpusChoice

DOCUMENTS = [["A good film.", "Rather dull, naïve too."], ["中文。"], ["one", "two", "three"]]
PLAIN = "\n\n".join("\n".join(document) for document in DOCUMENTS)


def documents(place, column="text") -> list[list[str]]:
    """What is read, as documents; a run of ends counts once."""
    found: list[list[str]] = [[]]
    for piece in open_files(place, column).pieces():
        if piece.text is not None:
            found[-1].append(piece.text)
        elif found[-1]:
            found.append([])
    assert piece.done == 1.0
    return [document for document in found if document]


def test_every_format_gives_the_same_documents(tmp_path):
    texts = ["\n".join(document) for document in DOCUMENTS]
    (tmp_path / "a.txt").write_text(PLAIN)
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode() + b"\r\n\r\n\r\n")
    (tmp_path / "wiki.train.tokens").write_text(PLAIN + "\n")
    with gzip.open(tmp_path / "c.txt.gz", "wt") as file:
        file.write(PLAIN)
    (tmp_path / "d.jsonl").write_text("".join(json.dumps({"id": 1, "text": text}) + "\n" for text in texts) + "\n")
    pq.write_table(pa.table({"n": [1, 2, 3], "text": texts}), tmp_path / "e.parquet")
    pq.write_table(pa.table({"text": pa.array(texts).dictionary_encode()}), tmp_path / "f.parquet", row_group_size=2)
    for path in sorted(tmp_path.iterdir()):
        assert documents(path) == DOCUMENTS, path.name


def test_a_folder_is_its_files_in_order_and_no_document_spans_two(tmp_path):
    (tmp_path / "b.txt").write_text("three")
    (tmp_path / "a.txt").write_text("one\ntwo")
    (tmp_path / "c.jsonl").write_text('{"body": "four"}\n')
    (tmp_path / "notes.md").write_text("no corpus")
    (tmp_path / "_d.txt").write_text("no corpus")
    assert documents(tmp_path, "body") == [["one", "two"], ["three"], ["four"]]
    corpus = open_files(tmp_path, "body")
    assert [file["name"] for file in corpus.inputs()] == ["a.txt", "b.txt", "c.jsonl"]
    shares = [piece.done for piece in corpus.pieces()]
    assert shares == sorted(shares)


@pytest.mark.parametrize("letter", ["x", "中"])
@pytest.mark.parametrize("space", [" ", ""])
def test_long_lines_come_in_pieces_without_losing_a_character(tmp_path, monkeypatch, letter, space):
    monkeypatch.setattr(corpus_lines, "LONGEST_PIECE", 64)
    monkeypatch.setattr(corpus_lines, "PIECE_CHARACTERS", 64)
    for size in range(50, 75):
        line = space.join(letter * (1 + number % 9) for number in range(size))
        (tmp_path / "long.txt").write_text(f"before\n{line}\nafter\n\nend")
        (tmp_path / "long.jsonl").write_text(json.dumps({"text": f"before\n{line}\nafter\n\nend"}) + "\n")
        for name in ("long.txt", "long.jsonl"):
            first, second = documents(tmp_path / name)
            assert (first[0], first[-1], second) == ("before", "after", ["end"])
            assert len(first) > 4
            assert space.join(first[1:-1]) == line


def test_a_line_of_ten_megabytes_takes_little_memory(tmp_path):
    path = tmp_path / "one-line.txt"
    path.write_text("a good film and a bad one " * 400_000)
    tracemalloc.start()
    words = sum(len(piece.text.split()) for piece in open_files(path, "text").pieces() if piece.text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert words == 7 * 400_000
    assert peak < 2 << 20


def refused(place, content: bytes | None = None, column="text") -> str:
    if content is not None:
        place.write_bytes(content)
    with pytest.raises(UserError) as error:
        list(open_files(place, column).pieces())
    return str(error.value)


def test_what_is_no_text_is_named_by_its_line(tmp_path):
    said = refused(tmp_path / "mixed.txt", "naïve\ngut\n".encode() + "caf\u00e9 olé\n".encode("latin1"))
    assert "mixed.txt, line 3: expected UTF-8, found byte 0xe9" in said
    assert "caf" in said
    assert "iconv" in said
    said = refused(tmp_path / "model.txt", b"\x7fELF\n\0\0\1\2" * 9)
    assert "line 2: expected text, found a binary file" in said
    assert "UTF-16" in refused(tmp_path / "wide.txt", "a film".encode("utf-16"))
    assert "found a binary file" in refused(tmp_path / "wide2.txt", "a film".encode("utf-16-le"))
    assert "found byte 0x89 (" in refused(tmp_path / "picture.txt", b"\x89PNG\r\n")
    whole = gzip.compress(PLAIN.encode() * 99)
    assert "found damage" in refused(tmp_path / "cut.txt.gz", whole[: len(whole) // 2])
    assert "found damage" in refused(tmp_path / "plain.txt.gz", b"a film")


def test_broken_rows_are_named(tmp_path):
    good = b'{"text": "a"}\n'
    assert "line 2: expected a JSON object, found broken JSON" in refused(tmp_path / "a.jsonl", good + b"{text\n")
    assert "line 1: expected an object with text in 'body', found text" in refused(tmp_path / "b.jsonl", good, "body")
    assert "line 2: expected an object with text" in refused(tmp_path / "c.jsonl", good + b'{"text": null}\n')
    pq.write_table(pa.table({"text": ["a", None]}), tmp_path / "d.parquet")
    assert "row 2: expected text, found null" in refused(tmp_path / "d.parquet")
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "e.parquet")
    assert "expected text in column 'text'" in refused(tmp_path / "e.parquet")
    latin = pa.array([b"a", b"caf\xe9"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": latin}), tmp_path / "f.parquet")
    assert "row 2: expected UTF-8, found byte 0xe9" in refused(tmp_path / "f.parquet")
    damaged = bytearray((tmp_path / "d.parquet").read_bytes())
    damaged[4:30] = bytes(26)
    assert "found damage" in refused(tmp_path / "g.parquet", bytes(damaged))


def test_nothing_to_read_is_refused(tmp_path):
    assert "found an empty file" in refused(tmp_path / "empty.txt", b"")
    (tmp_path / "folder").mkdir()
    assert "found none; name the file itself" in refused(tmp_path / "folder")


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (CorpusChoice("nowhere.txt"), "found nothing there"),
        (CorpusChoice("./nowhere"), "found nothing there"),
        (CorpusChoice("some/corpus"), "found neither"),  # tests are offline
    ],
)
def test_a_corpus_that_is_not_there(choice, said):
    with pytest.raises(UserError, match=said):
        open_corpus(choice)


def test_settings_of_the_hub_with_a_file_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(UserError, match="belong to the hub"):
        open_corpus(CorpusChoice(str(tmp_path / "a.txt"), revision="main"))


def test_rows_of_the_hub(monkeypatch):
    import datasets
    import huggingface_hub

    asked = {}

    class Info:
        sha = "abc"

    def load(name, config, **options):
        asked.update(name=name, config=config, **options)
        return iter([{"text": "one\ntwo\n\nthree"}, {"text": "four"}, {"title": "five"}])

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: Info)
    monkeypatch.setattr(datasets, "load_dataset", load)
    corpus = open_corpus(CorpusChoice("some/corpus", config="en"))
    assert corpus.inputs() == [{"name": "some/corpus", "config": "en", "revision": "abc"}]
    found = []
    with pytest.raises(UserError, match="row 2: expected text in column 'text', found title"):
        found.extend(piece.text for piece in corpus.pieces())
    assert found == ["one", "two", None, "three", None, "four", None]
    assert asked == {"name": "some/corpus", "config": "en", "split": "train", "streaming": True, "revision": "abc"}
