"""Reading a corpus: every format gives the same sentences, in bounded memory; what is no text is named."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.corpus import lines as corpus_lines
from pipelines.corpus.files import open_files
from pipelines.corpus.hub import open_corpus
from pipelines.errors import UserError
from pipelines.options.data import CorpusChoice

DOCUMENTS = [["A good film.", "Rather dull, naïve too."], ["中文。"], ["one", "two", "three"]]
PLAIN = "\n\n".join("\n".join(document) for document in DOCUMENTS)


def documents(place, column="text", sentences=False) -> list[list[str]]:
    """What is read, as documents; a run of ends counts once."""
    found: list[list[str]] = [[]]
    for piece in open_files(place, column, sentences).pieces():
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
    assert [file.name for file in corpus.inputs()] == ["a.txt", "b.txt", "c.jsonl"]
    shares = [piece.done for piece in corpus.pieces()]
    assert shares == sorted(shares)
    assert corpus.left_out.startswith(f"--corpus {tmp_path}: left out 1 file (notes.md): only files that end")
    for name in ("deeper/a.txt", "deeper/.b/c.txt", "b.d/LICENSE", ".git/e.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "z.csv").touch()
    assert documents(tmp_path, "body") == [["one", "two"], ["three"], ["four"], ["deeper/a.txt"]]
    corpus = open_files(tmp_path, "body")
    assert [file.name for file in corpus.inputs()] == ["a.txt", "b.txt", "c.jsonl", "deeper/a.txt"]
    assert " 3 files (b.d/LICENSE, notes.md, z.csv):" in corpus.left_out
    assert open_files(tmp_path / "a.txt", "text").left_out == ""


def test_linked_folders_are_read_once(tmp_path):
    """Links to a part elsewhere, to its inside, to the corpus itself, to what lies in it anyway, and to nothing."""
    place, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    for name in ("corpus/m/own.txt", "elsewhere/deep/far.txt", "elsewhere/near.txt", "elsewhere/.b/no.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for name, target in (("z", elsewhere), ("y", elsewhere / "deep"), ("a", place / "m"), ("m/up", place)):
        (place / name).symlink_to(target)
    (elsewhere / "back").symlink_to(place)
    (place / "gone.txt").symlink_to(tmp_path / "nowhere")
    (place / "_z").symlink_to(elsewhere)
    corpus = open_files(place, "text")
    assert [file.name for file in corpus.inputs()] == ["m/own.txt", "y/far.txt", "z/near.txt"]
    assert documents(place) == [["corpus/m/own.txt"], ["elsewhere/deep/far.txt"], ["elsewhere/near.txt"]]
    assert corpus.left_out == f"--corpus {place}: cannot read gone.txt: a broken link, no file, or no permission"


WIKI = """<doc id="7" url="https://wiki.example/?curid=7" title="Salt &amp; &quot;pepper&quot;">
Salt & "pepper"

Salt is a mineral.

Pepper is a plant.
It grows.

</doc>
<doc id="8" url="https://wiki.example/?curid=8" title="Kiln">
A kiln is hot.
Kiln

</doc>
"""
WIKI_DOCUMENTS = [["Salt is a mineral.", "Pepper is a plant.", "It grows."], ["A kiln is hot.", "Kiln"]]


@pytest.mark.parametrize("name", ["AA/wiki_00", "AA/wiki_00.bz2", "wiki.txt", "AB/wiki_00.xz", "text/AA/wiki_01.zst"])
def test_what_wikiextractor_writes(tmp_path, name):
    packers = {".bz2": bz2.compress, ".xz": lzma.compress, ".zst": lambda data: pa.compress(data, "zstd", asbytes=True)}
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packers.get(path.suffix, bytes)(WIKI.encode()))
    (tmp_path / "picture").write_bytes(b"\x89PNG")
    assert documents(tmp_path) == documents(path) == WIKI_DOCUMENTS
    assert open_files(tmp_path, "text").inputs()[0].name == name


def test_json_lines_without_a_suffix_are_told_by_their_beginning(tmp_path):
    (tmp_path / "AA").mkdir()
    for number in range(2):
        (tmp_path / f"AA/wiki_0{number}").write_text(json.dumps({"id": "7", "text": f"One {number}.\n\nTwo."}) + "\n")
    assert documents(tmp_path) == [["One 0."], ["Two."], ["One 1."], ["Two."]]
    (tmp_path / "braces").write_text("{it} is no object\n")
    assert documents(tmp_path / "braces") == [["{it} is no object"]]


def test_lines_that_only_look_like_marks_are_sentences(tmp_path):
    (tmp_path / "a.txt").write_text("<doc>\n\n<document id=1>\nTitle\n\n<doc id=> of a sort\n")
    assert documents(tmp_path / "a.txt") == [["<doc>"], ["<document id=1>", "Title"], ["<doc id=> of a sort"]]


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
    said = refused(tmp_path / "model.txt", b"model\n\0\0\1\2" * 9)
    assert "line 2: expected text, found a binary file" in said
    assert "UTF-16" in refused(tmp_path / "wide.txt", "a film".encode("utf-16"))
    assert "found a binary file" in refused(tmp_path / "wide2.txt", "a film".encode("utf-16-le"))
    assert "found byte 0x89 (" in refused(tmp_path / "odd.txt", b"\x89PONG\r\n")
    whole = gzip.compress(PLAIN.encode() * 99)
    assert "found damage" in refused(tmp_path / "cut.txt.gz", whole[: len(whole) // 2])
    assert "found damage" in refused(tmp_path / "plain.txt.gz", b"a film")


@pytest.mark.parametrize(
    ("begin", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"\xff\xd8\xff\xe0\n", "a JPEG picture"),
        (b"%PDF-1.7\n", "a PDF document"),
        (bz2.compress(b"a film\n"), "a bzip2 archive by its first bytes; let its name end in .bz2"),
        (b"<mediawiki xmlns=", "a dump of a wiki by its first bytes; extract its text"),
        (gzip.compress(b"a film\n", mtime=0), "a gzip archive by its first bytes; let its name end in .gz"),
        (b"PK\x03\x04\n", "a zip archive"),
        (b"PAR1\n", "a Parquet file by its first bytes; let its name end in .parquet"),
        (b"\x7fELF\n", "a program"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, begin, kind):
    said = refused(tmp_path / "corpus.txt", begin)
    assert f"expected text, found {kind}" in said
    assert "iconv" not in said
    assert kind in refused(tmp_path / "corpus.jsonl", begin)


def test_other_encodings_and_characters(tmp_path):
    said = refused(tmp_path / "russian.txt", ("Хороший фильм, хотя и скучный.\n" * 99).encode("cp1251"))
    assert "line 1: expected UTF-8, found byte 0xd5" in said
    assert "iconv -f LATIN1" in said
    french = refused(tmp_path / "french.txt", ("Un bon film, plutôt gai.\n" * 99).encode("latin1"))
    assert "line 1: expected UTF-8, found byte 0xf4" in french
    for number, text in enumerate(
        ("中文。\n" * 9999, "\x1b[1ma film\x1b[0m\n" * 999, "a\x01b\x01" + "a good film " * 99)
    ):
        (tmp_path / f"{number}.txt").write_text(text)
        assert documents(tmp_path / f"{number}.txt")


def test_rows_that_are_sentences(tmp_path):
    """An empty row ends a document; line ends within a row, as some data sets have, end nothing."""
    rows = [" = Films = \n", "A good\nfilm.", "", "\n", "Rather dull."]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    pq.write_table(pa.table({"text": rows}), tmp_path / "b.parquet")
    for name in ("a.jsonl", "b.parquet"):
        assert documents(tmp_path / name, sentences=True) == [["= Films =", "A good film."], ["Rather dull."]]
        assert len(documents(tmp_path / name)) == 3
    (tmp_path / "c.txt").write_text("a film\n")
    assert documents(tmp_path, sentences=True)[-1] == ["a film"]
    with pytest.raises(
        UserError, match="--rows sentences: expected JSON lines, Parquet or a data set on the hub, found"
    ):
        open_files(tmp_path / "c.txt", "text", sentences=True)
    with pytest.raises(
        UserError, match="--text body: expected JSON lines, Parquet or a data set on the hub, found text"
    ):
        open_files(tmp_path / "c.txt", "body")
    with pytest.raises(UserError, match="--rows: expected one of documents, sentences, found 'lines'"):
        CorpusChoice("a.jsonl", rows="lines")


def test_broken_rows_are_named(tmp_path):
    good = b'{"text": "a"}\n'
    assert "line 2: expected a JSON object, found broken JSON" in refused(tmp_path / "a.jsonl", good + b"{text\n")
    said = refused(tmp_path / "b.jsonl", good, "body")
    assert "line 1, column 'body': expected text, found no such field, but text; leave such rows out, or name" in said
    for value, named in ((b"null", "null"), (b"7", "int '7'"), (b"[]", "list '[]'"), (b"true", "bool 'True'")):
        said = refused(tmp_path / "c.jsonl", good + b'{"text": ' + value + b"}\n")
        assert f"line 2, column 'text': expected text, found {named}; leave such rows out" in said
    halves = tmp_path / "halves.jsonl"
    halves.write_bytes(b'\n{"text": "a \\ud83d b"}\n \n' + good)
    assert documents(halves) == [["a ? b"], ["a"]]
    pq.write_table(pa.table({"text": ["a", None]}), tmp_path / "d.parquet")
    assert "row 1, column 'text': expected text, found null" in refused(tmp_path / "d.parquet")
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "e.parquet")
    assert "expected text in column 'text', found int64; name" in refused(tmp_path / "e.parquet")
    assert "expected text in column 'body', found the columns text; name" in refused(
        tmp_path / "e.parquet", column="body"
    )
    latin = pa.array([b"a", b"caf\xe9"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": latin}), tmp_path / "f.parquet")
    assert "row 1, column 'text': expected UTF-8, found byte 0xe9" in refused(tmp_path / "f.parquet")
    damaged = bytearray((tmp_path / "d.parquet").read_bytes())
    damaged[4:30] = bytes(26)
    assert "found damage" in refused(tmp_path / "g.parquet", bytes(damaged))


def test_nothing_to_read_is_refused(tmp_path):
    assert "found an empty file" in refused(tmp_path / "empty.txt", b"")
    (tmp_path / "folder").mkdir()
    assert "found none; name the file itself" in refused(tmp_path / "folder")
    (tmp_path / "folder/inner").mkdir()
    (tmp_path / "folder/inner/a.csv").write_text("no corpus")
    (tmp_path / "folder/inner/program").write_bytes(b"\x7fELF")
    assert "found inner/a.csv, inner/program; name the file itself" in refused(tmp_path / "folder")


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (CorpusChoice("nowhere.txt"), "found nothing there; check the path"),
        (CorpusChoice("./nowhere"), "found nothing there; check the path"),
        (CorpusChoice("some/corpus"), "there is no such file or folder, and HF_HUB_OFFLINE is set"),  # in tests it is
    ],
)
def test_a_corpus_that_is_not_there(choice, said):
    with pytest.raises(UserError, match=said):
        open_corpus(choice)


def test_settings_of_the_hub_with_a_file_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(UserError, match="belong to the hub"):
        open_corpus(CorpusChoice(str(tmp_path / "a.txt"), revision="main"))
