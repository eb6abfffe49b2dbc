"""Every accepted format gives the same vectors; everything else one clear error."""

from __future__ import annotations

import gzip
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from glove import VectorsError, load_vectors, vectors_from_arrays
from tests.fixtures import GLOVE_WORDS, glove_text


@pytest.fixture
def load(tmp_path):
    """Loads bytes under a file name with an own cache; messages are kept in `load.messages`."""

    def run(content: bytes, name: str = "vectors.txt"):
        path = tmp_path / name
        path.write_bytes(content)
        run.messages = []
        return load_vectors(path, tmp_path / "cache", run.messages.append)

    return run


def zipped(path, **members: bytes) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_txt", ".txt"), content)
    return path.read_bytes()


def numbers(text: str) -> np.ndarray:
    return np.array([line.split()[1:] for line in text.splitlines()], dtype=np.float64)


TEXT = glove_text()
HEADED = f"{len(GLOVE_WORDS)} 8\n{TEXT}"


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        HEADED,
        TEXT.rstrip("\n"),
        TEXT + "\n \n",
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", " \n"),
        HEADED.replace("\n", " \r\n"),
        "\ufeff" + TEXT,
        "\ufeff" + HEADED,
    ],
    ids=["plain", "header", "no-end", "blank-end", "crlf", "trailing-space", "all", "bom", "bom-header"],
)
@pytest.mark.parametrize("container", ["plain", "gz", "zip"])
def test_text_in_all_dresses(load, tmp_path, content, container):
    packed = content.encode()
    if container == "gz":
        packed = gzip.compress(packed)
    elif container == "zip":
        packed = zipped(tmp_path / "in.zip", a_txt=packed, readme=b"x", **{"__MACOSX/a.txt": b"x"})
    vectors = load(packed)
    assert vectors.words(np.arange(20)) == GLOVE_WORDS
    wide = numbers(TEXT)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    assert np.abs(vectors.unit_rows - wide).max() < 1e-7
    assert (len(vectors), vectors.dimensions, vectors.name) == (20, 8, "vectors.txt")
    assert [vectors.row(word) for word in GLOVE_WORDS] == list(range(20))
    assert vectors.row("PARIS") is None
    assert vectors.row("\ud800") is None
    with pytest.raises(IndexError):
        vectors.word(20)


def binary(words=GLOVE_WORDS, stated=None, end="\n") -> bytes:
    rows = numbers(TEXT).astype("<f4")
    body = b"".join(word.encode() + b" " + row.tobytes() + end.encode() for word, row in zip(words, rows, strict=False))
    return f"{stated or len(words)} 8\n".encode() + body


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("container", ["plain", "gz", "zip"])
def test_word2vec_binary(load, tmp_path, end, container):
    packed = binary(end=end)
    if container == "gz":
        packed = gzip.compress(packed)
    elif container == "zip":
        packed = zipped(tmp_path / "in.zip", vectors=packed)
    vectors = load(packed, "odd.name")
    assert vectors.words(np.arange(20)) == GLOVE_WORDS
    assert np.allclose(vectors.unit_rows, load(TEXT.encode()).unit_rows, atol=1e-6)


def test_words_with_spaces_and_odd_spaces(load):
    text = "a 0.1 0.2\n. . . 0.3 0.4\nat name@domain.com 0.5 0.6\nx\u00a0y 0.1 0.1\n\u0085 1 2\niphone 4 1.5 2.5\n"
    vectors = load(text.encode())
    assert vectors.words(np.arange(6)) == ["a", ". . .", "at name@domain.com", "x\u00a0y", "\u0085", "iphone 4"]
    assert vectors.row("at name@domain.com") == 2


def test_first_word_with_spaces(load):
    assert load(b". . 0.1 0.2\na 0.1 0.2\nb 0.1 0.2\n").dimensions == 2


def test_one_dimension_is_told_from_a_header(load):
    assert load(b"5 1\nb 2\nc 3\n").words(np.arange(3)) == ["5", "b", "c"]
    assert load(b"2 1\nb 2\nc 3\n").words(np.arange(2)) == ["b", "c"]
    assert load(b"7 300\nb 2\nc 3\n").words(np.arange(3)) == ["7", "b", "c"]


def test_duplicates_are_reported_by_line_and_the_first_stays(load):
    vectors = load(b"a 1 0\nb 0 1\na 0 1\n" + b"b 5 5\n" * 8)
    assert vectors.words(np.arange(2)) == ["a", "b"]
    assert vectors.unit_rows.tolist() == [[1, 0], [0, 1]]
    assert any("line 3" in message and "'a'" in message for message in load.messages)
    assert any("9 duplicate words" in message for message in load.messages)


@pytest.mark.parametrize(("stated", "added"), [(3001, ""), (3030, ""), (2999, ""), (1, ""), (2999, "no newline 1 2 3")])
def test_a_header_that_counts_wrong_is_a_warning_where_the_file_is_whole(load, stated, added):
    vectors = load(f"{stated} 3\n{MANY}{added}".encode())
    found = 3000 + bool(added)
    assert len(vectors) == found
    assert f"vectors.txt: warning: the header promises {stated} words, found {found}" in "".join(load.messages)


@pytest.mark.parametrize("header", ["", "5 2\n"])
def test_lines_without_a_word_are_left_out_and_counted(load, header):
    vectors = load(f"{header}a 1 0\n  0.5 0.5\nb 0 1\n 0.25 -1e-3\nb 1 1\n".encode())
    assert vectors.words(np.arange(2)) == ["a", "b"]
    assert vectors.unit_rows.tolist() == [[1, 0], [0, 1]]
    said = " ".join(load.messages)
    assert "left out 2 lines without a word" in said
    assert f"line {5 + bool(header)}: the word 'b' occurs again" in said
    assert "promises" not in said


def test_duplicates_warn_without_progress(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("3 2\na 1 0\nb 0 1\na 0 1\n")
    with pytest.warns(UserWarning, match="line 4"):
        load_vectors(path, tmp_path / "cache")


MANY = "".join(f"w{n} 0.5 0.25 1\n" for n in range(3000))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"\n\n", "empty file"),
        (b"3 2\n", "header"),
        (b"hello\nworld\n", "line 1"),
        (b"\x00\x01\x02\x03" * 999, "binary"),
        (bytes(range(1, 256)) * 99, "vectors.txt"),
        ((MANY + "bad 0.1 0.2\n").encode(), "line 3001.*3 fields"),
        ((MANY + "bad 0.1 0.2 x\n").encode(), "line 3001.*'x' among"),
        ((MANY + "bad 0.1 0.2 1_0\n").encode(), "line 3001.*'1_0' among"),
        ((MANY + "bad 0.1 0.2 0.3 0.4\n").encode(), "line 3001.*at least 4 numbers"),
        ((MANY + " bad 0.2 0.3\n").encode(), "line 3001"),
        ((MANY + "0.1 0.2 0.3\n").encode(), "line 3001"),
        (b" 0.1 0.2\n 0.3 0.4\n", "empty file"),
        ((MANY + "\nx 1 2 3\n").encode(), "line 3001.*blank line"),
        ((MANY + "x 1 nan 3\n").encode(), "line 3001.*NaN"),
        ((MANY + "x y 1 -inf 3\n").encode(), "line 3001.*NaN"),
        ((MANY + "x 1 1e300 3\n").encode(), "line 3001.*too large"),
        (MANY.encode() + b"caf\xe9 1 2 3\n", r"line 3001.*caf\\\\xe9.*UTF-8"),
        (f"3001 3\n{MANY.rstrip()}".encode(), "promises 3001 words, found 3000; the file was cut off"),
        (f"3031 3\n{MANY}".encode(), "promises 3031 words, found 3000; the file was cut off"),
        (f"3000 4\n{MANY}".encode(), "promises 3000 words of 4 numbers"),
        (b'{"a": [0.1, 0.2]}\n', "line 1"),
        (b"a\t0.1\t0.2\n", "separated by spaces"),
        (gzip.compress(TEXT.encode(), mtime=0)[:-30], "cut off"),
        (gzip.compress(TEXT.encode(), mtime=0)[:200] + b"xxxx" * 99, "damaged|cut off"),
        (gzip.compress(b"", mtime=0), "empty file"),
        (b"PK\x03\x04" + b"x" * 500, "damaged"),
        (binary()[:-60], "cut off"),
        (binary(stated=10**11), "cut off"),
        (binary(stated=25), "cut off"),
        (binary(words=["caf"] + ["x" * n for n in range(1, 20)]).replace(b"caf", b"c\xe9f"), "UTF-8"),
    ],
)
def test_hostile_content(load, tmp_path, content, message):
    with pytest.raises(VectorsError, match=message):
        load(content)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix == ".npy"]


def test_broken_lines_far_into_the_file(load, monkeypatch):
    monkeypatch.setattr("glove.text.BLOCK_BYTES", 100)
    assert len(load(MANY.encode())) == 3000
    with pytest.raises(VectorsError, match="line 2001"):
        load(("".join(MANY.splitlines(True)[:2000]) + "\n" * 300 + "x 1 2 3\n").encode())
    with pytest.raises(VectorsError, match="line 3002"):
        load(f"3001 3\n{MANY}bad 1 2\n".encode())
    assert len(load((MANY[:2000] + MANY[2000:].replace("\n", "\n 0.5 0.25 1\n")).encode())) == 3000


def test_a_huge_line_is_no_text(load, monkeypatch):
    monkeypatch.setattr("glove.text.LONGEST_LINE", 50)
    monkeypatch.setattr("glove.text.BLOCK_BYTES", 100)
    with pytest.raises(VectorsError, match="a line of over"):
        load(b"x" * 5000)


def test_zip_with_several_texts(tmp_path):
    path = tmp_path / "glove.zip"
    zipped(path, a_txt=TEXT.encode(), b_txt=b"x 1 2\ny 1 3\n")
    with pytest.raises(VectorsError, match=r"a\.txt, b\.txt.*glove\.zip/a\.txt"):
        load_vectors(path)
    assert load_vectors(path / "b.txt").words(np.arange(2)) == ["x", "y"]
    assert load_vectors(path / "a.txt").dimensions == 8
    with pytest.raises(VectorsError, match=r"no c\.txt"):
        load_vectors(path / "c.txt")


def test_empty_zip_and_member_of_no_zip(tmp_path, glove_file):
    zipped(tmp_path / "empty.zip")
    with pytest.raises(VectorsError, match="no file in it"):
        load_vectors(tmp_path / "empty.zip")
    with pytest.raises(VectorsError, match="no zip"):
        load_vectors(glove_file / "a.txt")


def test_arrays(tmp_path):
    vectors = vectors_from_arrays(["a", "ä b"], np.array([[3.0, 4], [0, 0]]))
    assert vectors.unit_rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
    assert vectors.row("ä b") == 1
    assert len(vectors.fingerprint) == 64
    assert vectors.fingerprint != vectors_from_arrays(["a", "äb"], np.array([[3.0, 4], [0, 0]])).fingerprint
    copy = pickle.loads(pickle.dumps(vectors))
    assert copy.words(np.array([1, 0])) == ["ä b", "a"]


@pytest.mark.parametrize(
    ("words", "matrix"),
    [
        (["a"], [[1.0], [2.0]]),
        (["a", "a"], [[1.0], [2.0]]),
        ([""], [[1.0]]),
        (["a"], [[np.nan]]),
        ([], np.zeros((0, 3))),
        (["a"], [1.0]),
    ],
)
def test_arrays_that_do_not_fit(words, matrix):
    with pytest.raises(VectorsError, match="expected"):
        vectors_from_arrays(words, np.array(matrix))


def test_numbers_that_are_not_finite_say_what_to_do(load):
    broken = binary().replace(numbers(TEXT).astype("<f4")[3].tobytes(), np.full(8, np.nan, dtype="<f4").tobytes())
    with pytest.raises(VectorsError, match="NaN or infinity for 'movies'; leave that word out"):
        load(broken)


def test_needs_neither_gensim_nor_torch(glove_file, tmp_path):
    program = (
        "import sys\n"
        "for name in ('gensim', 'torch', 'ray', 'typer', 'pyarrow', 'transformers'): sys.modules[name] = None\n"
        "import glove, numpy\n"
        "vectors = glove.load_vectors(sys.argv[1], sys.argv[2])\n"
        "print(glove.similar_words(vectors, ['film'], 3)[0][0][0] in vectors.words(numpy.arange(20)))\n"
    )
    command = [sys.executable, "-c", program, str(glove_file), str(tmp_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "True\n"
