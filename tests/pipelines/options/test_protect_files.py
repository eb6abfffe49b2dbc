"""`--protect` takes words, patterns and files, and no word for a file that is not there."""

from __future__ import annotations

import pytest

from pipelines.errors import UserError
from pipelines.options.drawing import protected


def test_words_patterns_and_lines_of_files(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("New York\n\n /^Mc/ \nand/or\nnot\n", encoding="utf-8")
    found = protected(["don't", "node.js", "U.S.", "/a/b/", "<br />", str(path), "not"])
    assert found == ("don't", "node.js", "U.S.", "/a/b/", "<br />", "New York", "/^Mc/", "and/or", "not")


@pytest.mark.parametrize("entry", ["names.txt", "Names.TXT", "./names", "~/names", "a/b", "/good", "words.list"])
def test_a_path_without_a_file_is_no_word(tmp_path, monkeypatch, entry):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="found what looks like a path and no such file; check it"):
        protected([entry])
