"""A tokenizer of words that have vectors, for students that are no encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

if TYPE_CHECKING:
    from collections.abc import Sequence

PAD, UNKNOWN, END = SPECIAL = ("[PAD]", "[UNK]", "[SEP]")
# Words, punctuation marks one by one, and contractions as GloVe's vectors have them: does n't, it 's.
WORD = r"n't\b|'(?:s|re|ve|ll|d|m)\b|\w+?(?=n't\b)|\w+|[^\w\s]"


def word_splitter(lowercase: bool) -> Tokenizer:
    """Cuts texts into words, without a vocabulary.

    Args:
        lowercase: whether the vectors know lower case alone.
    """
    splitter = Tokenizer(models.WordLevel({UNKNOWN: 0}, unk_token=UNKNOWN))
    cases = [normalizers.Lowercase()] if lowercase else []
    splitter.normalizer = normalizers.Sequence([normalizers.NFC(), *cases])
    splitter.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
    return splitter


def words_of(text: str, splitter: Tokenizer) -> list[str]:
    """The words of a text.

    Args:
        text: any.
        splitter: of `word_splitter`.
    """
    normal = splitter.normalizer.normalize_str(text)
    return [word for word, _ in splitter.pre_tokenizer.pre_tokenize_str(normal)]


def word_tokenizer(words: Sequence[str], lowercase: bool) -> PreTrainedTokenizerFast:
    """The tokenizer of a vocabulary: a text is its words and an end, a pair one after the other in two segments.

    The end is a token of its own so that no text is without tokens, however empty.

    Args:
        words: different ones; their ids follow those of `SPECIAL`.
        lowercase: whether the vectors know lower case alone.
    """
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *words))}
    backend, splitter = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN)), word_splitter(lowercase)
    backend.normalizer, backend.pre_tokenizer = splitter.normalizer, splitter.pre_tokenizer
    backend.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B:1 {END}:1", special_tokens=[(END, vocabulary[END])]
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=PAD, unk_token=UNKNOWN, sep_token=END, model_input_names=names
    )
