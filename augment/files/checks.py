"""Checks of a model's folder that need neither torch nor the weights: configuration, tokenizer, names of files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from augment.casing import is_cased
from augment.errors import AugmentError
from augment.files.weights import check_names, check_weights

if TYPE_CHECKING:
    from pathlib import Path

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
NATIVE_TYPES = {"bert", "distilbert", "electra", "mobilebert", "mpnet"}  # transformers has their code
# transformers makes a fast tokenizer of these from vocab.txt alone; "Fast" at their end makes no difference.
VOCABULARY_CLASSES = {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer"}
ADDED = "added_tokens.json"
REMEDY_TYPE = 'and add "model_type": "bert", or whatever type the model is'
SLOW_CLASSES = {"BertJapaneseTokenizer"}  # transformers takes them even where a tokenizer.json lies beside


def check_masked_lm(folder: Path, who: str) -> None:
    """Refuses a folder that holds no WordPiece masked LM with a fast tokenizer.

    Args:
        folder: a Hugging Face model folder.
        who: the model, for messages.

    Raises:
        AugmentError: naming what is missing and what to use instead.
    """
    refuse_old_name(folder, who)
    config = _read_json(folder / "config.json", who)
    if not any((folder / file).exists() for file in WEIGHT_FILES):
        raise AugmentError(f"{who}: expected weights ({', '.join(WEIGHT_FILES)}), found none in the folder")
    model_type = check_model_type(folder, who)
    check_names(folder, who, model_type)
    if config.get("auto_map") and model_type not in NATIVE_TYPES:
        raise AugmentError(
            f"{who}: expected a model that transformers can load by itself, found one with code of its own "
            f"(auto_map, model type {model_type}); such code is never run, choose another model"
        )
    settings = folder / "tokenizer_config.json"
    described = _read_json(settings, who) if settings.exists() else {}
    mask = described.get("mask_token", "")
    tokenizer_class = str(described.get("tokenizer_class") or config.get("tokenizer_class") or "")
    if tokenizer_class in SLOW_CLASSES:
        raise AugmentError(
            f"{who}: expected a fast tokenizer, found {tokenizer_class}, which has no fast form; choose a "
            "model that has one, such as bert-base-uncased or bert-base-multilingual-cased"
        )
    if (folder / "tokenizer.json").exists():
        tokenizer = _read_json(folder / "tokenizer.json", who)
        kind = _tokenizer_kind(tokenizer)
        if kind != "WordPiece":
            raise AugmentError(
                f"{who}: expected a WordPiece tokenizer (BERT and its kin), found {kind} "
                f"(model type {model_type}); byte-level BPE models such as RoBERTa are not supported as augmenter"
            )
        added = {str(token.get("content")) for token in tokenizer.get("added_tokens") or []}
        vocabulary = tokenizer["model"].get("vocab", {})
        _require_mask(mask, who, added | set(vocabulary))
        ids = [*vocabulary.values(), *(token.get("id") for token in tokenizer.get("added_tokens") or [])]
    elif _serves_as_vocabulary(folder, model_type, tokenizer_class):
        words = (folder / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
        _require_mask(mask, who, set(words))
        ids = [len(words) - 1, *(_read_json(folder / ADDED, who).values() if (folder / ADDED).exists() else ())]
    else:
        raise AugmentError(
            f"{who}: expected a fast tokenizer (tokenizer.json, or vocab.txt of a BERT), found none"
            f"{f' ({tokenizer_class} alone)' if tokenizer_class else ''}; choose a model that has one, or put its "
            "tokenizer.json into the folder"
        )
    tokens = 1 + max((number for number in ids if isinstance(number, int)), default=-1)
    check_embeddings(tokens, config.get("vocab_size"), who)
    check_weights(folder, who, model_type)


def case_warning(folder: Path, who: str) -> str | None:
    """Warns of a cased vocabulary whose tokenizer lower-cases every text, as transformers' default is.

    Args:
        folder: a folder that `check_masked_lm` accepts.
        who: the model, for messages.

    Returns:
        The warning; None where there is nothing to say.
    """
    settings = folder / "tokenizer_config.json"
    told = _read_json(settings, who).get("do_lower_case") if settings.exists() else None
    if (folder / "tokenizer.json").exists():
        tokenizer = _read_json(folder / "tokenizer.json", who)
        words, lowers = list(tokenizer["model"].get("vocab", {})), _lowers(tokenizer.get("normalizer"))
    else:
        words, lowers = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n"), True
    lowers = lowers if told is None else bool(told)
    if not lowers or not is_cased(word for word in words if not word.startswith(("[", "##"))):
        return None
    return (
        f"{who}: its vocabulary is cased, but its tokenizer lower-cases all it reads"
        f"{', for nothing says otherwise' if told is None else ''}; if the model was trained on cased text, put "
        '{"do_lower_case": false} into its tokenizer_config.json'
    )


def _lowers(normalizer: Any) -> bool:
    """Whether a normalizer of tokenizer.json lower-cases: BERT's own, or one step of a sequence."""
    if not isinstance(normalizer, dict):
        return False
    steps = normalizer.get("normalizers") or []
    return bool(normalizer.get("lowercase")) or normalizer.get("type") == "Lowercase" or any(map(_lowers, steps))


def check_embeddings(tokens: int, embeddings: Any, who: str) -> None:
    """Refuses a model with fewer embeddings than its tokenizer has tokens: texts that hold them could not be read.

    Args:
        tokens: of the tokenizer.
        embeddings: of the model; what is no number tells nothing.
        who: the model, for messages.

    Raises:
        AugmentError: with both numbers.
    """
    if isinstance(embeddings, int) and embeddings < tokens:
        raise AugmentError(
            f"{who}: expected at least {tokens} embeddings, one a token, found {embeddings} (vocab_size); where tokens "
            f"were added to the tokenizer, save the model after resize_token_embeddings({tokens})"
        )


def refuse_old_name(folder: Path, who: str) -> None:
    """Refuses a configuration under the name that Google's archives have.

    Args:
        folder: a model folder.
        who: the model, for messages.

    Raises:
        AugmentError: naming the file.
    """
    old = [path.name for path in sorted(folder.glob("*bert_config.json"))]
    if old and not (folder / "config.json").exists():
        raise AugmentError(f"{who}: expected config.json in the folder, found {old[0]}; rename it {REMEDY_TYPE}")


def check_model_type(folder: Path, who: str) -> str:
    """The type that a configuration names; refuses a configuration that names none, as early ones do.

    Args:
        folder: with a config.json; one that cannot be read is told elsewhere.
        who: the model, for messages.

    Returns:
        The type; nothing where the configuration cannot be read.

    Raises:
        AugmentError: with the line to add.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    if not isinstance(config, dict):
        return ""
    if not config.get("model_type"):
        raise AugmentError(f"{who}: config.json has no model_type; open it {REMEDY_TYPE}")
    return str(config["model_type"])


def _serves_as_vocabulary(folder: Path, model_type: str, tokenizer_class: str) -> bool:
    """Whether a folder as of 2019, with vocab.txt alone, gives a fast tokenizer."""
    if not (folder / "vocab.txt").exists() or model_type not in {"bert", "distilbert", "electra", "mobilebert"}:
        return False
    return not tokenizer_class or tokenizer_class.removesuffix("Fast") in VOCABULARY_CLASSES


def _tokenizer_kind(tokenizer: dict[str, Any]) -> str:
    model = tokenizer.get("model")
    if not isinstance(model, dict):
        return "no model in tokenizer.json"
    if "type" not in model and "max_input_chars_per_word" in model:
        return "WordPiece"  # files of 2020, bert-base-uncased's among them, do not name the type
    return str(model.get("type", "unknown"))


def _require_mask(configured: Any, who: str, tokens: set[str]) -> None:
    # `mask_token` may be absent (old folders: [MASK] by convention), a string, or an AddedToken as a dictionary.
    mask = configured.get("content") if isinstance(configured, dict) else configured
    if mask is None or (mask or "[MASK]") not in tokens:
        raise AugmentError(
            f"{who}: expected a tokenizer with a mask token such as [MASK], found none; "
            "Algorithm 1 needs a masked language model"
        )


def _read_json(path: Path, who: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AugmentError(f"{who}: expected {path.name} in the model folder, found none") from None
    except (OSError, ValueError) as error:
        raise AugmentError(f"{who}: {path.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise AugmentError(f"{who}: expected an object in {path.name}, found {type(content).__name__}")
    return content
