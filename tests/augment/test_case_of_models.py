"""A cased vocabulary whose tokenizer lower-cases is warned of; nothing else is."""

from __future__ import annotations

import json
import warnings

import pytest

from augment import Augmenter
from augment.files.checks import case_warning
from augment.files.find import find_model
from tests.fixtures import SPECIAL, tiny_masked_lm, tiny_tokenizer, tokenizer_of

CASED = [*SPECIAL, *"The the Berlin film Film is . ##s ##Film".split()]


def warning_of(folder):
    files = find_model(folder)
    return case_warning(files.folder, files.who)


def folder_of(path, tokens, lowercase, **changes):
    """A model folder whose tokenizer.json has some fields changed."""
    tokenizer_of(tokens, lowercase).save_pretrained(path)
    tiny_masked_lm(vocab_size=len(tokens)).save_pretrained(path)
    content = json.loads((path / "tokenizer.json").read_text())
    (path / "tokenizer.json").write_text(json.dumps({**content, **changes}))
    (path / "tokenizer_config.json").unlink()
    return str(path)


BERT = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None}
STEPS = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}


@pytest.mark.parametrize(
    ("normalizer", "warned"),
    [({**BERT, "lowercase": True}, True), ({**BERT, "lowercase": False}, False), (STEPS, True), (None, False)],
)
def test_what_tokenizer_json_says(tmp_path, normalizer, warned):
    found = warning_of(folder_of(tmp_path, CASED, lowercase=True, normalizer=normalizer))
    assert (found is not None) == warned


@pytest.mark.parametrize("told", [True, False])
def test_what_the_configuration_says_counts_more(tmp_path, told):
    folder = folder_of(tmp_path, CASED, lowercase=not told)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": told}))
    assert (warning_of(folder) is not None) == told


def test_an_uncased_vocabulary_may_be_lower_cased(tmp_path):
    words = list(tiny_tokenizer().get_vocab())
    assert warning_of(folder_of(tmp_path, sorted(words), lowercase=True)) is None


def test_python_warns_as_well(tmp_path, mlm_folder):
    with pytest.warns(UserWarning, match=r"vocabulary is cased, but .*, for nothing says otherwise; .*do_lower_case"):
        Augmenter.from_pretrained(folder_of(tmp_path, CASED, lowercase=True), device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Augmenter.from_pretrained(mlm_folder, device="cpu")
