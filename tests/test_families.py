"""The table of families in docs/distillation.md says what the code does, and what the tests run."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.embedding_init import NOT_PROJECTED
from distill.errors import DistillError
from distill.families import FAMILIES, has_known_spans
from distill.general import check_head
from distill.shapes import student_config
from tests.augment.test_masked_lm import KIN
from tests.distill import models
from tests.distill.models import tiny_encoder
from tests.fixtures import tiny_masked_lm

DOCS = Path(__file__).parents[1] / "docs" / "distillation.md"


def table() -> dict[str, list[bool]]:
    """Family to its answers, column by column."""
    text = DOCS.read_text(encoding="utf-8").split("| family (`model_type`)")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    return {family.strip("`"): [answer == "yes" for answer in answers] for family, *answers in rows}


def test_every_family_is_listed_and_run_by_the_tests_of_distillation():
    assert tuple(table()) == FAMILIES
    assert set(models.FAMILIES) == set(FAMILIES)
    assert all(answers[0] for answers in table().values())


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_family_can_do(family):
    _, named, masked, projected, augments, spans = table()[family]
    model = tiny_encoder(family)
    assert named == _works(lambda: student_config("tinybert4", model.config))
    assert masked == _works(lambda: check_head(tiny_masked_lm() if family == "bert" else model, "teacher"))
    assert projected == (family not in NOT_PROJECTED)
    assert augments == (family in KIN)
    assert spans == has_known_spans(model.config)


def _works(act) -> bool:
    try:
        act()
    except DistillError:
        return False
    return True
