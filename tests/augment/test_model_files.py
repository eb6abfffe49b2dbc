"""Models that are found, and models that are refused with one clear message."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import LocalEntryNotFoundError
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from augment.errors import AugmentError
from augment.files import hub as hub_module
from augment.files.find import ModelFiles, find_model
from augment.masked_lm import MaskedLM, load_masked_lm
from pipelines.found import Found
from tests.fixtures import VOCABULARY, save_tiny_masked_lm, tiny_masked_lm, tiny_tokenizer


@pytest.fixture
def folder(mlm_folder, tmp_path):
    return shutil.copytree(mlm_folder, tmp_path / "model")


def change_json(path, change):
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def refused(folder, message):
    with pytest.raises(AugmentError, match=message) as error:
        find_model(str(folder))
    assert "\n" not in str(error.value)


def test_a_good_folder(folder):
    files = find_model(str(folder))
    assert (files.folder, files.name, files.revision) == (folder, str(folder), None)
    lm = load_masked_lm(files)
    assert lm.window == 64
    assert lm.vocabulary.tokens == VOCABULARY


def test_the_fingerprint_is_that_of_the_contents(folder, mlm_folder, tmp_path):
    before = find_model(str(folder)).fingerprint
    assert before == find_model(str(mlm_folder)).fingerprint
    (folder / "README.md").write_text("about this model")
    assert find_model(str(folder)).fingerprint == before
    other = save_tiny_masked_lm(tmp_path / "other", seed=1)
    assert find_model(str(other)).fingerprint != before
    change_json(folder / "config.json", lambda config: config.update(layer_norm_eps=1e-5))
    assert find_model(str(folder)).fingerprint != before


@pytest.mark.parametrize("name", ["./none", "/none/at/all", "~/none-of-this", "a/b/c"])
def test_no_folder(name):
    refused(name, "found no folder")


def test_a_file_is_no_folder(folder):
    refused(folder / "config.json", "found no folder")


def test_no_such_name_and_no_network():
    refused(
        "no-such-model", r"no such folder, and HF_HUB_OFFLINE is set .*Check the name and unset HF_HUB_OFFLINE where"
    )


@pytest.fixture
def hub(monkeypatch):
    """A hub of our own: `answer` is called for the first question, `fetched` says how files were asked for."""
    hub = SimpleNamespace(answer=lambda: None, fetched=[])

    def snapshot(name, **options):
        hub.fetched.append(options)
        raise LocalEntryNotFoundError("nothing was downloaded earlier")

    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: hub.answer())
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    return hub


def test_a_hub_that_never_answers_is_an_error_in_time(hub, monkeypatch):
    assert hub_module.HUB_SECONDS <= 4
    monkeypatch.setattr(hub_module, "HUB_SECONDS", 0.2)
    released = threading.Event()
    hub.answer = lambda: released.wait(20)
    started = time.monotonic()
    refused("no-such-model", r"TimeoutError: no answer within .*the network, or pass a local folder")
    assert time.monotonic() - started < 5
    released.set()
    assert [options["local_files_only"] for options in hub.fetched] == [True]  # what is there would have been used


def test_what_the_hub_says_reaches_the_user(hub):
    def answer():
        raise OSError("404 Client Error: no such model")  # the hub's own errors are OSErrors

    hub.answer = answer
    refused("no-such-model", "OSError: 404 Client Error: no such model")


def test_a_hub_that_answers_is_asked_for_the_files(hub):
    refused("no-such-model", "LocalEntryNotFoundError")
    assert [options["local_files_only"] for options in hub.fetched] == [False]


def test_no_network_uses_what_was_downloaded(hub, monkeypatch, folder):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))

    def answer():
        raise ConnectionError("no route")

    hub.answer = answer
    assert find_model("some/model").folder == folder


CODE = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForMaskedLM": "modeling_own.OwnForMaskedLM"}


def test_a_model_with_code_of_its_own(folder):
    change_json(folder / "config.json", lambda config: config.update(auto_map=CODE, model_type="own"))
    refused(folder, r"found one with code of its own \(auto_map, model type own\).*never run, choose another model")


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_nobody_is_asked_whether_code_may_run(folder, monkeypatch, file):
    asked = []
    monkeypatch.setattr("builtins.input", lambda prompt="": asked.append(prompt) or "n")
    if file == "config.json":
        change_json(folder / file, lambda config: config.update(auto_map=CODE, model_type="own"))
    else:
        own = {"AutoTokenizer": ["own.OwnTokenizer", "own.OwnTokenizerFast"]}
        change_json(folder / file, lambda config: config.update(auto_map=own, tokenizer_class="OwnTokenizer"))
    with contextlib.suppress(AugmentError):  # a tokenizer may serve without its code
        load_masked_lm(ModelFiles("masked LM", "own", folder, None, ""))
    assert asked == []


def test_code_that_transformers_has_itself_is_no_obstacle(folder):
    change_json(folder / "config.json", lambda config: config.update(auto_map=CODE))
    assert load_masked_lm(find_model(str(folder))).window == 64


def test_no_configuration(folder):
    (folder / "config.json").unlink()
    refused(folder, r"expected config\.json in the folder, found none; give a Hugging Face folder")


def test_an_empty_folder(tmp_path):
    refused(tmp_path, r"config\.json")


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, r"expected weights .*found none")


def test_a_tokenizer_that_has_no_fast_form(folder):
    change_json(
        folder / "tokenizer_config.json", lambda content: content.update(tokenizer_class="BertJapaneseTokenizer")
    )
    refused(folder, r"masked LM .*model: .*found BertJapaneseTokenizer, which has no fast form; choose a model")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    refused(folder, "found BertJapaneseTokenizer, which has no fast form")


def test_a_vocabulary_for_a_tokenizer_of_another_kind(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    change_json(folder / "tokenizer_config.json", lambda content: content.update(tokenizer_class="OwnTokenizer"))
    refused(folder, r"found none \(OwnTokenizer alone\); choose a model that has one")


def test_no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()
    refused(folder, "expected a fast tokenizer")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ['{"model": ', "", "[1, 2]", "\ud800".encode("utf-8", "surrogatepass"), "null"])
def test_corrupt_json(folder, name, content):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(folder, name.replace(".", r"\."))


@pytest.mark.parametrize("model", [None, {}, [], "WordPiece"])
def test_a_tokenizer_of_odd_shape(folder, model):
    change_json(folder / "tokenizer.json", lambda content: content.update(model=model))
    refused(folder, "expected a tokenizer of the kind WordPiece or byte-level BPE or SentencePiece")


def test_a_bpe_tokenizer_that_is_not_byte_level(folder):
    shape = {"type": "BPE", "vocab": {"a": 0}, "merges": [], "continuing_subword_prefix": ""}
    change_json(folder / "tokenizer.json", lambda content: content.update(model=shape))
    refused(folder, r"found BPE \(model type bert\); choose a masked LM such as")


def test_an_old_tokenizer_file_does_not_name_its_kind(folder):
    # bert-base-uncased's own was written in 2020 by a version that left the type out.
    change_json(folder / "tokenizer.json", lambda content: content["model"].pop("type"))
    assert load_masked_lm(find_model(str(folder))).vocabulary.tokens == VOCABULARY


def test_an_old_bpe_file_is_still_refused(folder):
    shape = {"vocab": {"a": 0}, "merges": [], "continuing_subword_prefix": "", "unk_token": None}
    change_json(folder / "tokenizer.json", lambda content: content.update(model=shape))
    refused(folder, "expected a tokenizer of the kind WordPiece or byte-level BPE or SentencePiece")


def test_only_a_vocabulary_as_old_folders_have(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    lm = load_masked_lm(find_model(str(folder)))
    assert lm.vocabulary.tokens == VOCABULARY
    assert lm.splitter.split(["The gripping FILM"]).single_piece[2]


def test_no_mask_token(folder):
    change_json(folder / "tokenizer_config.json", lambda content: content.update(mask_token=None))
    refused(folder, "expected a tokenizer with a mask token")


def test_a_mask_token_that_is_not_in_the_vocabulary(folder):
    change_json(folder / "tokenizer_config.json", lambda content: content.update(mask_token="<mask>"))
    refused(folder, "expected a tokenizer with a mask token")


def test_a_mask_token_as_a_dictionary(folder):
    mask = {"content": "[MASK]", "special": True, "__type": "AddedToken"}
    change_json(folder / "tokenizer_config.json", lambda content: content.update(mask_token=mask))
    assert find_model(str(folder)).folder == folder


def test_weights_of_another_shape(folder):
    change_json(folder / "config.json", lambda config: config.update(hidden_size=48))
    with pytest.raises(AugmentError, match=r"cannot be loaded: |found no weights"):
        load_masked_lm(find_model(str(folder)))


def test_an_unknown_model_type(folder):
    change_json(folder / "config.json", lambda config: config.update(model_type="madeup", architectures=[]))
    with pytest.raises(AugmentError, match="cannot be loaded"):
        load_masked_lm(find_model(str(folder)))


def test_a_configuration_without_its_type_or_under_its_old_name(folder):
    said = r'add "model_type": "bert"'
    change_json(folder / "config.json", lambda config: config.pop("model_type"))
    refused(folder, rf"masked LM .*config\.json has no model_type; .*{said}")
    with pytest.raises(AugmentError, match=rf"student .*config\.json has no model_type; .*{said}"):
        Found().model(str(folder), None, "student")
    (folder / "config.json").rename(folder / "bert_config.json")
    refused(folder, rf"expected config\.json in the folder, found bert_config\.json; rename it and {said}")
    with pytest.raises(AugmentError, match=rf"student .*found bert_config\.json; rename it and {said}"):
        Found().model(str(folder), None, "student")


@pytest.mark.parametrize("old", [False, True])
def test_more_tokens_than_embeddings(folder, old):
    size = len(VOCABULARY)
    if old:
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
        (folder / "added_tokens.json").write_text(f'{{"<e1>": {size}, "<e2>": {size + 1}}}')
    else:
        token = {"id": size + 1, "content": "<e2>", "single_word": False, "lstrip": False, "rstrip": False}
        change_json(folder / "tokenizer.json", lambda content: content["added_tokens"].append(token))
    expected = rf"expected at least {size + 2} embeddings, one a token, found {size} .*resize_token_embeddings"
    refused(folder, f"masked LM .*{expected}")
    change_json(folder / "config.json", lambda config: config.update(vocab_size=size + 2))
    assert find_model(str(folder)).folder == folder
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<e1>", "<e2>"])
    with pytest.raises(AugmentError, match=expected):
        MaskedLM(tiny_masked_lm(), tokenizer)


def test_a_tokenizer_of_another_kind_given_as_an_object():
    word_level = Tokenizer(models.WordLevel({"[UNK]": 0, "[MASK]": 1}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=word_level, mask_token="[MASK]")
    with pytest.raises(AugmentError, match=r"expected WordPiece or .*found WordLevel; choose a model that"):
        MaskedLM(tiny_masked_lm(), tokenizer)
    assert MaskedLM(tiny_masked_lm(), tiny_tokenizer()).mask_id == VOCABULARY.index("[MASK]")
