"""The masked LM: loading, and probabilities of the words that could stand at masked positions."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from augment.errors import AugmentError, is_of_machine
from augment.files.checks import check_embeddings
from augment.last_layer import EncoderAtPositions
from augment.packed_linear import ONEDNN, linear_kernel, pack_linear_layers
from augment.precision import default_batch_tokens, dtype_of, gpu_kernels, resolve_precision
from augment.tokenizer import check_tokenizer, token_id
from augment.top_k import first_of_each, top_probabilities
from augment.vocabulary import Vocabulary, read_vocabulary
from augment.words import WordSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerFast

    from augment.files.find import ModelFiles

IMPORTED_BY = os.getpid()  # a process forked later has another id
CJK_ONLY = -2  # in `exclude`: bars all that is no CJK character
HEAD_ROWS = 256  # masked positions whose logits exist at once: 256 x 30,522 x 4 bytes = 31 MB


@dataclass(frozen=True)
class Copies:
    """Masked copies of texts, all of one length before padding or padded to one.

    Args:
        ids: int64 (B, L) token ids with special tokens and masks in place; 0 where padded.
        lengths: int64 (B,) tokens of each copy.
        first_segment: int64 (B,) tokens of the first segment, [CLS] and its [SEP] included.
        positions: int64 (B, Q) masked positions, -1 where a copy has fewer than Q.
    """

    ids: np.ndarray
    lengths: np.ndarray
    first_segment: np.ndarray
    positions: np.ndarray


class MaskedLM:
    """A WordPiece masked LM ready to propose words.

    Pickling one that `load_masked_lm` loaded stores the name of its folder, not its weights: another process loads it
    anew, laid out for its own device.

    Args:
        model: a transformers masked LM whose head reads the encoder's last hidden state.
        tokenizer: its fast tokenizer.
        device: where to run.
        precision: `fp32`, `tf32`, `bf16` or `fp16`.
        punctuation: whether punctuation may be proposed.

    Attributes:
        batch_tokens: tokens of a forward pass that suit the device.

    Raises:
        AugmentError: a tokenizer without mask token or Rust half, or of another kind than WordPiece.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerFast,
        device: str = "cpu",
        precision: str = "fp32",
        punctuation: bool = False,
    ) -> None:
        check_tokenizer(tokenizer)
        self._again: tuple[Callable[..., MaskedLM], tuple[Any, ...]] = (
            MaskedLM,
            (model, tokenizer, device, precision, punctuation),
        )
        self._process = os.getpid()
        self.device = torch.device(device)
        self.splitter = WordSplitter(tokenizer.backend_tokenizer, token_id(tokenizer, "unk_token"))
        config: Any = model.config
        check_embeddings(len(tokenizer), config.vocab_size, "tokenizer")
        self.precision = precision
        self.batch_tokens = default_batch_tokens(self.device, config.to_dict(), precision)
        self.window = min(_positions(config), 512)
        self.mask_id = token_id(tokenizer, "mask_token")
        self.cls_id = token_id(tokenizer, "cls_token")
        self.sep_id = token_id(tokenizer, "sep_token")
        self.segments = int(getattr(config, "type_vocab_size", 0) or 0)
        model = model.to(device=self.device, dtype=dtype_of(precision)).eval().requires_grad_(False)
        self._encoder = EncoderAtPositions(model)
        self.vocabulary: Vocabulary = read_vocabulary(tokenizer, self.splitter, int(config.vocab_size), punctuation)
        proposable = torch.from_numpy(self.vocabulary.proposable)
        # added to the logits before the top is taken: 0 for words, -inf for all that is never proposed
        self._barred = torch.where(proposable, 0.0, -torch.inf).to(self.device)
        self._barred_but_cjk = torch.where(torch.from_numpy(self.vocabulary.cjk), 0.0, -torch.inf).to(self.device)

    def __reduce__(self) -> tuple[Callable[..., MaskedLM], tuple[Any, ...]]:
        return self._again

    @torch.inference_mode()
    def propose(self, copies: Copies, k: int, exclude: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The most probable words at masked positions (Algorithm 1, line 9).

        Args:
            copies: masked copies of texts.
            k: words for each position.
            exclude: int64 (M, E) vocabulary ids never proposed at each masked position, or CJK_ONLY for all but
                CJK characters; -1 where there are fewer.

        Returns:
            ids int32 (M, k) and probabilities float32 (M, k), best first, for the M masked positions in the
            order of the copies; of words that differ in case only the best. The probability is that of the softmax
            over the whole vocabulary, rounded to 3 significant digits; ties stand by vocabulary id. -1 and 0 fill up
            where there are fewer than k words.

        Raises:
            FloatingPointError: the model gave no finite logits.
        """
        if os.getpid() != self._process:
            _prepare_forked_process(self.device.type)
            self._process = os.getpid()
        with gpu_kernels(self.precision, self.device):
            return self._propose(copies, k, exclude)

    def _propose(self, copies: Copies, k: int, exclude: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        arguments = self._arguments(copies)
        positions = torch.from_numpy(copies.positions).to(self.device)
        found = []
        hidden = self._encoder.hidden(arguments, positions)  # (M, H)
        excluded = None if exclude is None else torch.from_numpy(exclude).to(self.device)
        forms = self.vocabulary.most_forms
        for start in range(0, len(hidden), HEAD_ROWS):
            rows = slice(start, start + HEAD_ROWS)
            logits = self._encoder.logits(hidden[rows]).float()  # (m, V)
            normaliser = torch.logsumexp(logits, dim=1)  # (m,)
            if not bool(torch.isfinite(normaliser).all()):
                raise FloatingPointError("the masked LM gave logits that are not finite")
            logits += self._barred
            if excluded is not None:
                _bar(logits, excluded[rows], self._barred_but_cjk)
            found.append(top_probabilities(logits, normaliser, k * forms))
        ids, probabilities = map(np.concatenate, zip(*found, strict=True))
        return (ids, probabilities) if forms == 1 else first_of_each(ids, probabilities, self.vocabulary.lower_case, k)

    def _arguments(self, copies: Copies) -> dict[str, Tensor]:
        ids = torch.from_numpy(copies.ids)
        width = ids.shape[1]
        arguments = {"input_ids": ids}
        column = torch.arange(width)
        if int(copies.lengths.min()) < width:  # no mask where nothing is padded: the kernels are faster
            arguments["attention_mask"] = (column < torch.from_numpy(copies.lengths)[:, None]).long()
        if int(copies.first_segment.min()) < width and self.segments > 1:
            arguments["token_type_ids"] = (column >= torch.from_numpy(copies.first_segment)[:, None]).long()
        return {name: tensor.to(self.device) for name, tensor in arguments.items()}


def load_masked_lm(
    files: ModelFiles, device: str = "cpu", precision: str = "fp32", punctuation: bool = False
) -> MaskedLM:
    """Loads a masked LM from its folder.

    Args:
        files: what `find_model` found.
        device: `cpu`, `cuda` or `cuda:N`.
        precision: `fp32`, `tf32`, `bf16`, `fp16`, or `auto` for what suits the device.
        punctuation: whether punctuation may be proposed.

    Returns:
        The masked LM, in evaluation mode.

    Raises:
        AugmentError: the folder holds no masked LM that can be used, or the device has no such precision.
    """
    from transformers import AutoModelForMaskedLM, AutoTokenizer
    from transformers.utils import logging

    precision = resolve_precision(precision, device)
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # its report of missing weights says what the message below does
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(files.folder, trust_remote_code=False)
        model, report = AutoModelForMaskedLM.from_pretrained(
            files.folder, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
        )
    except Exception as error:  # transformers raises OSError, ValueError, KeyError, safetensors' own, …
        if is_of_machine(error):
            raise
        reason = str(error).strip().split("\n")[0]
        raise AugmentError(f"masked LM {files.name}: cannot be loaded: {type(error).__name__}: {reason}") from error
    missing = sorted(key for key in report["missing_keys"] if "position_ids" not in key)
    if missing:
        raise AugmentError(
            f"masked LM {files.name}: expected a model with a masked-LM head, found no weights for "
            f"{', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}; an encoder alone cannot propose words"
        )
    if linear_kernel(device, precision) == ONEDNN:
        pack_linear_layers(model.to(dtype_of(precision)).eval())
    try:
        masked_lm = MaskedLM(model, tokenizer, device, precision, punctuation)
    except AugmentError as error:
        raise AugmentError(f"masked LM {files.name}: {error}") from error
    files = replace(files, folder=files.folder.resolve())  # other processes load it anew, wherever they work
    masked_lm._again = _load_in_another_process, (files, device, precision, punctuation)
    return masked_lm


def _load_in_another_process(files: ModelFiles, device: str, precision: str, punctuation: bool) -> MaskedLM:
    if os.getpid() != IMPORTED_BY:
        _prepare_forked_process(torch.device(device).type)
    return load_masked_lm(files, device, precision, punctuation)


def _prepare_forked_process(device: str) -> None:
    """Keeps torch from waiting forever for OpenMP's threads, which a fork leaves behind in its parent.

    Raises:
        AugmentError: the parent used the GPU, so this process cannot.
    """
    if device == "cuda" and torch.cuda._is_in_bad_fork():
        raise AugmentError(
            "device: expected a process of its own for the GPU, found one forked from a process that uses it; find "
            "the candidates in one process and draw from them in many (Augmenter.from_candidates), or start processes "
            "by spawn"
        )
    torch.set_num_threads(1)


def resolve_device(device: str) -> str:
    """Turns `auto` into `cuda` where there is one, else `cpu`.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Returns:
        The device to use.

    Raises:
        AugmentError: a CUDA device was asked for and there is none.
    """
    available = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if available else "cpu"
    if device.startswith("cuda") and not available:
        raise AugmentError(f"device: expected a CUDA device for {device!r}, found none; use --device cpu or auto")
    return device


def _positions(config: Any) -> int:
    """Tokens a model has positions for; MPNet's start after the padding's own."""
    positions = int(config.max_position_embeddings)
    return positions - int(config.pad_token_id) - 1 if config.model_type == "mpnet" else positions


def _bar(logits: Tensor, excluded: Tensor, but_cjk: Tensor) -> None:
    rows, columns = torch.nonzero(excluded >= 0, as_tuple=True)
    logits[rows, excluded[rows, columns]] = -torch.inf
    rows = torch.nonzero((excluded == CJK_ONLY).any(dim=1))[:, 0]
    logits[rows] += but_cjk
