"""Names that are not there, and networks that are not there: one clear line, at once."""

from __future__ import annotations

import pytest

from tests.hub.conftest import NOWHERE, side_by_side

pytestmark = pytest.mark.integration

CHECK = ("augment", "--task", "sst2", "--out", "run", "--dry-run")
LOCAL = (*CHECK, "--data", "sst2")


@pytest.fixture
def here(machine):
    """A machine with two sentences of its own."""
    made = machine()
    (made.folder / "sst2").mkdir()
    (made.folder / "sst2" / "train.tsv").write_text("sentence\tlabel\nfine\t1\ndull\t0\n")
    return made


def all_refused(*runs) -> None:
    for ran in runs:
        assert ran.code == 2, ran.text
        assert ran.text.count("tinyaug: ") == 1, ran.text
        assert ran.text.startswith("tinyaug: error: "), ran.text


def test_names_and_revisions_that_are_not_there(here, mlm_folder):
    model, data, vectors = side_by_side(
        lambda: here.run(*LOCAL, "--mlm", "no-such-model"),
        lambda: here.run(*CHECK, "--data-revision", "no-such-revision"),
        lambda: here.run(*LOCAL, "--mlm", str(mlm_folder), "--glove", "glove-wiki-gigaword-3000"),
    )
    all_refused(model, data, vectors)
    assert "masked LM no-such-model" in model.text
    assert "has nothing of that name, or it is private" in model.text
    assert "nyu-mll/glue (sst2, revision no-such-revision)" in data.text
    assert "no such revision on the hub" in data.text
    assert "near are: glove-wiki-gigaword-300" in vectors.text


def test_no_network(here, mlm_folder):
    nowhere = {"HF_ENDPOINT": NOWHERE, "TINYAUG_GENSIM_URL": NOWHERE}
    data, vectors, unknown = side_by_side(
        lambda: here.run(*CHECK, **nowhere),
        lambda: here.run(*LOCAL, "--mlm", str(mlm_folder), **nowhere),
        lambda: here.run(*CHECK, HF_ENDPOINT="http://hub.invalid"),
    )
    all_refused(data, vectors, unknown)
    assert f"the hub at {NOWHERE} gave" in data.text
    assert "Pass --data FOLDER" in data.text
    assert "check the path, or the network" in vectors.text
    assert "the hub at http://hub.invalid gave" in unknown.text
