"""An augmenter with a tiny masked LM, and one that draws from what it found."""

from __future__ import annotations

import pytest

from augment import Augmenter
from augment.presets import CandidateSettings
from tests.augment.helpers import TEXTS, tiny_lm, tiny_vectors


@pytest.fixture(scope="module")
def augmenter() -> Augmenter:
    return Augmenter(tiny_lm(), tiny_vectors(), CandidateSettings(k=5))


@pytest.fixture(scope="module")
def stored(augmenter: Augmenter) -> Augmenter:
    return Augmenter.from_candidates(augmenter.candidates(TEXTS))
