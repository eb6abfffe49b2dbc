"""Checks of a model's folder that need neither torch nor the weights: configuration, tokenizer, names of files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from augment.casing import is_cased
from augment.errors import AugmentError
from augment.files.kinds import KINDS, SENTENCE_PIECE, tokenizer_kind
from augment.files.weights import check_weights

if TYPE_CHECKING:
    from pathlib import Path

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")
WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin")
NATIVE_TYPES = {  # transformers has their code
    *("bert", "distilbert", "electra", "mobilebert", "mpnet", "ernie", "roberta", "xlm-roberta", "camembert"),
    *("data2vec-text", "roberta-prelayernorm", "modernbert", "nomic_bert", "eurobert"),
}
# transformers makes a fast tokenizer of these from vocab.txt alone; "Fast" at a class's end makes no difference.
VOCABULARY_TYPES = {"bert", "distilbert", "electra", "mobilebert"}
VOCABULARY_CLASSES = {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer"}
ADDED = "added_tokens.json"
REMEDY_TYPE = 'and add "model_type": "bert", or whatever type the model is'
USUAL_MASKS = ("[MASK]", "<mask>")
CAUSAL = ("LMHeadModel", "ForCausalLM")  # ends of the names of models that write on
SLOW_CLASSES = {"BertJapaneseTokenizer"}  # transformers takes them even where a tokenizer.json lies beside


def check_folder(folder: Path, who: str, head_needed: bool = False) -> dict[str, Any]:
    """Refuses a folder that no model can be loaded from.

    Args:
        folder: a Hugging Face model folder.
        who: the model, for messages.
        head_needed: whether its weights must have a masked-LM head.

    Returns:
        Its configuration.

    Raises:
        AugmentError: naming what is missing and what to use instead.
    """
    if not (folder / "config.json").is_file():
        old = [path.name for path in sorted(folder.glob("*bert_config.json"))]  # as Google's archives call it
        inside = [str(path.parent) for path in sorted(folder.glob("*/config.json"))]
        remedy = f"rename it {REMEDY_TYPE}" if old else "give a Hugging Face folder"
        if inside and not old:
            remedy = f"did you mean {' or '.join(inside)}?"
        raise AugmentError(f"{who}: expected config.json in the folder, found {old[0] if old else 'none'}; {remedy}")
    config = _read_json(folder / "config.json", who)
    if not any(path for pattern in WEIGHT_FILES for path in folder.glob(pattern)):
        raise AugmentError(
            f"{who}: expected weights (model.safetensors) in the folder, found none; copy them there, or name another "
            "folder"
        )
    if not config.get("model_type"):
        raise AugmentError(f"{who}: config.json has no model_type; open it {REMEDY_TYPE}")
    check_weights(folder, who, str(config["model_type"]), head_needed)
    return config


def check_masked_lm(folder: Path, who: str) -> None:
    """Refuses a folder that holds no masked LM with a fast tokenizer whose words can be masked.

    Args:
        folder: a Hugging Face model folder.
        who: the model, for messages.

    Raises:
        AugmentError: naming what is missing and what to use instead.
    """
    config = check_folder(folder, who, head_needed=True)
    model_type = str(config["model_type"])
    if config.get("auto_map") and model_type not in NATIVE_TYPES:
        raise AugmentError(
            f"{who}: expected a model that transformers can load by itself, found one with code of its own "
            f"(auto_map, model type {model_type}); such code is never run, choose another model"
        )
    _check_reads_both_ways(config, who)
    settings = _settings(folder, who)
    tokenizer_class = str(settings.get("tokenizer_class") or config.get("tokenizer_class") or "")
    if tokenizer_class in SLOW_CLASSES:
        raise AugmentError(
            f"{who}: expected a fast tokenizer, found {tokenizer_class}, which has no fast form; choose a model that "
            "has one, such as bert-base-uncased or bert-base-multilingual-cased"
        )
    old = model_type in VOCABULARY_TYPES and tokenizer_class.removesuffix("Fast") in {"", *VOCABULARY_CLASSES}
    if not (folder / "tokenizer.json").exists() and not ((folder / "vocab.txt").exists() and old):
        raise AugmentError(
            f"{who}: expected a fast tokenizer (tokenizer.json, or vocab.txt of a BERT), found none"
            f"{f' ({tokenizer_class} alone)' if tokenizer_class else ''}; choose a model that has one, or put its "
            "tokenizer.json into the folder"
        )
    tokenizer = _read_tokenizer(folder, who)
    if tokenizer.kind not in KINDS:
        raise AugmentError(
            f"{who}: expected a tokenizer of the kind {' or '.join(KINDS)}, found {tokenizer.kind} (model type "
            f"{model_type}); choose a masked LM such as bert-base-uncased, roberta-base or xlm-roberta-base"
        )
    # `mask_token` may be absent (old folders: [MASK] by convention), a string, or an AddedToken as a dictionary.
    mask = settings.get("mask_token", "")
    mask = mask.get("content") if isinstance(mask, dict) else mask
    if mask is None or not any(token in tokenizer.numbers for token in ([mask] if mask else USUAL_MASKS)):
        raise AugmentError(
            f"{who}: expected a tokenizer with a mask token such as [MASK], found none (model type {model_type}); "
            "Algorithm 1 needs a masked language model, not one that writes on from left to right"
        )
    numbers = [number for number in tokenizer.numbers.values() if isinstance(number, int)]
    check_embeddings(1 + max(numbers, default=-1), config.get("vocab_size"), who)


def _check_reads_both_ways(config: dict[str, Any], who: str) -> None:
    """Refuses a model that was saved as one that writes on, of a type that is known as no masked LM."""
    heads = [str(name) for name in config.get("architectures") or [] if str(name).endswith(CAUSAL)]
    if heads and config["model_type"] not in NATIVE_TYPES:
        raise AugmentError(
            f"{who}: expected a masked language model, found {heads[0]} (model type {config['model_type']}), which "
            "writes on from left to right; choose one such as bert-base-uncased, roberta-base or xlm-roberta-base"
        )


def case_warning(folder: Path, who: str) -> str | None:
    """Warns of a cased vocabulary whose tokenizer lower-cases every text, as transformers' default is.

    Args:
        folder: a folder that `check_masked_lm` accepts.
        who: the model, for messages.

    Returns:
        The warning; None where there is nothing to say.
    """
    tokenizer, told = _read_tokenizer(folder, who), _settings(folder, who).get("do_lower_case")
    lowers = tokenizer.lowers if told is None else bool(told)
    if not lowers or not is_cased(word for word in tokenizer.words if not word.startswith(("[", "##"))):
        return None
    return (
        f"{who}: its vocabulary is cased, but its tokenizer lower-cases all it reads"
        f"{', for nothing says otherwise' if told is None else ''}; if the model was trained on cased text, put "
        '{"do_lower_case": false} into its tokenizer_config.json'
    )


class _Tokenizer(NamedTuple):
    kind: str
    words: list[str]  # without added tokens
    numbers: dict[str, Any]  # with them
    lowers: bool


def _read_tokenizer(folder: Path, who: str) -> _Tokenizer:
    """The tokenizer as tokenizer.json describes it, or as transformers makes it of vocab.txt."""
    if not (folder / "tokenizer.json").exists():
        words = (folder / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
        added = _read_json(folder / ADDED, who) if (folder / ADDED).exists() else {}
        return _Tokenizer("WordPiece", words, {word: n for n, word in enumerate(words)} | added, True)
    content = _read_json(folder / "tokenizer.json", who)
    model = content.get("model")
    if not isinstance(model, dict):
        return _Tokenizer("no model in tokenizer.json", [], {}, False)
    kind, vocabulary = tokenizer_kind(content), model.get("vocab", {})
    if kind not in KINDS:
        return _Tokenizer(kind, [], {}, False)
    if kind == SENTENCE_PIECE:
        vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    added = {str(token.get("content")): token.get("id") for token in content.get("added_tokens") or []}
    return _Tokenizer(kind, list(vocabulary), vocabulary | added, _lowers(content.get("normalizer")))


def _settings(folder: Path, who: str) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return _read_json(path, who) if path.exists() else {}


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


def _read_json(path: Path, who: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AugmentError(f"{who}: {path.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise AugmentError(f"{who}: expected an object in {path.name}, found {type(content).__name__}")
    return content
