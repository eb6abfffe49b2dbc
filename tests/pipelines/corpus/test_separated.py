"""Corpora in files with separators: a column of them is the text."""

from __future__ import annotations

import gzip

import pytest

from pipelines.corpus.files import open_files
from pipelines.errors import UserError
from pipelines.tasks.readers import feed


def test_a_column_of_a_file_with_separators(tmp_path):
    """It is named itself; of a folder such files are left out as before."""
    (tmp_path / "a.tsv").write_text('sentence\tlabel\nA "dull film.\t0\nA good one.\t1\n')
    (tmp_path / "b.csv").write_text('label,body\n1,"One.\nTwo, three."\n0,Four.\n')
    found = [piece.text for piece in open_files(tmp_path / "a.tsv", "sentence").pieces()]
    assert found == ['A "dull film.', None, "A good one.", None, None]
    found = [piece.text for piece in open_files(tmp_path / "b.csv", "body").pieces()]
    assert found == ["One.", "Two, three.", None, "Four.", None, None]
    with pytest.raises(UserError, match="expected text in column 'text', found the columns sentence, label; name"):
        open_files(tmp_path / "a.tsv", "text")
    (tmp_path / "c.txt").write_text("Five.\n")
    assert [path.name for path in open_files(tmp_path, "text").files] == ["c.txt"]


@pytest.mark.parametrize("packed", [False, True])
def test_the_share_that_was_read_does_not_depend_on_the_cores(tmp_path, monkeypatch, packed):
    """Plans are made by it, and more cores read further ahead."""
    path = tmp_path / ("reviews.csv.gz" if packed else "reviews.csv")
    rows = [f"{number},a film of {number * 7919} scenes{' and more' * (number % 40)}\n" for number in range(12_000)]
    content = "".join(["id,text\n", *rows]).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    found = []
    for cores in (1, 2, 8):
        monkeypatch.setattr(feed, "usable_cores", lambda cores=cores: cores)
        found.append([piece.done for piece in open_files(path, "text").pieces()])
    assert found[0] == found[1] == found[2]
    quarter = found[0][len(found[0]) // 4]
    assert 0.2 < quarter < (0.7 if packed else 0.6)  # read by large pieces, the packed ones larger
    assert found[0][-1] == pytest.approx(1)
