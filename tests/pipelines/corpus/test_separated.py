"""Corpora in files with separators: a column of them is the text."""

from __future__ import annotations

import pytest

from pipelines.corpus.files import open_files
from pipelines.errors import UserError


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
