"""The masked LM: loading, and probabilities of the words that could stand at masked positions."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from augment.batch import varlen_kernel
from augment.device_copies import DeviceCopies
from augment.errors import AugmentError, is_of_machine
from augment.files.checks import check_embeddings
from augment.head import Head
from augment.last_layer import EncoderAtPositions
from augment.layouts import Layout
from augment.masked_copies import MaskedCopies, Masks, SpecialIds
from augment.packed_linear import ONEDNN, linear_kernel, pack_linear_layers
from augment.precision import default_batch_tokens, default_layout, dtype_of, gpu_kernels, resolve_precision
from augment.tokenizer import splitter_of, token_id
from augment.vocabulary import Vocabulary, read_vocabulary
from augment.words import TokenRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerFast

    from augment.batch import Batch
    from augment.files.find import ModelFiles
    from augment.head import Answers

AFTER_PADDING = ("mpnet", "roberta", "xlm-roberta", "camembert", "data2vec-text", "roberta-prelayernorm")
IMPORTED_BY = os.getpid()  # a process forked later has another id


class MaskedLM:
    """A masked LM ready to propose words.

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
        layout: how batches are laid out; may be set to another one.
        fits: tokens of a batch that does not have to be cut up, once a larger one did not fit into memory.

    Raises:
        AugmentError: a tokenizer without mask token or Rust half, or of a kind whose words are not known.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerFast,
        device: str = "cpu",
        precision: str = "fp32",
        punctuation: bool = False,
    ) -> None:
        self.splitter = splitter_of(tokenizer)
        self._again: tuple[Callable[..., MaskedLM], tuple[Any, ...]] = (
            MaskedLM,
            (model, tokenizer, device, precision, punctuation),
        )
        self._process = os.getpid()
        self.device = torch.device(device)
        config: Any = model.config
        check_embeddings(len(tokenizer), config.vocab_size, "tokenizer")
        self.precision = precision
        self.fits: int | None = None
        self.batch_tokens = default_batch_tokens(self.device, config.to_dict(), precision)
        self.window = min(_positions(config), 512)
        self.mask_id = token_id(tokenizer, "mask_token")
        self.cls_id = token_id(tokenizer, "cls_token")
        self.sep_id = token_id(tokenizer, "sep_token")
        between = max(1, tokenizer.num_special_tokens_to_add(pair=True) - 2)
        self.special = SpecialIds(self.cls_id, self.sep_id, self.mask_id, self.window, between)
        self.segments = int(getattr(config, "type_vocab_size", 0) or 0)
        model = model.to(device=self.device, dtype=dtype_of(precision)).eval().requires_grad_(False)
        self._encoder = EncoderAtPositions(model)
        self.vocabulary: Vocabulary = read_vocabulary(tokenizer, self.splitter, int(config.vocab_size), punctuation)
        self._kernels = partial(gpu_kernels, precision, self.device)
        self._head = Head(self._encoder.logits, self.vocabulary, self.device, self._kernels)
        self._varlen = varlen_kernel(self.device, dtype_of(precision))
        self.layout = default_layout(self.device, self._encoder.by_layers, self._varlen is not None)
        if self.layout is Layout.PACKED:
            try:
                self.probe()
            except RuntimeError:  # torch may offer a kernel that it was not built with
                self._varlen, self.layout = None, Layout.EIGHTS

    def __reduce__(self) -> tuple[Callable[..., MaskedLM], tuple[Any, ...]]:
        return self._again

    def compile(self, **options: Any) -> None:
        """Has `torch.compile` make kernels of the encoder, which pays on a GPU after some minutes of work.

        Args:
            options: of `torch.compile`.
        """
        self._encoder.compile(**options)

    def on_device(self, copies: MaskedCopies, exclude: np.ndarray | None = None) -> DeviceCopies:
        """Brings texts to the device, to make masked copies of them there.

        Args:
            copies: of the texts.
            exclude: int64 (slots, E) vocabulary ids never proposed for each slot of the masks; CJK_ONLY, UNSPACED
                and -1 as in `DeviceCopies`.
        """
        return DeviceCopies(copies, self.device, exclude, self.segments > 1, self._varlen)

    def probe(self) -> None:
        """Runs [CLS] [MASK] [SEP], laid out as texts are."""
        rows = TokenRows(np.array([self.mask_id]), np.array([0, 1]))
        zero = np.zeros(1, dtype=np.int64)
        copies = MaskedCopies(rows, None, Masks(zero, zero, zero, zero), self.special)
        cut = copies.cutter(self.layout, batch_tokens=3).cut(0, 1)
        self.start(self.on_device(copies).batch(cut, self.layout), 1).taken(1)

    @torch.inference_mode()
    def start(self, batch: Batch, k: int) -> Answers:
        """Starts the search for the most probable words at masked positions (Algorithm 1, line 9).

        Args:
            batch: masked copies of texts.
            k: words for each mask.

        Returns:
            The answers, to be taken when they are needed: ids int32 (M, k) and probabilities float32 (M, k), best
            first, for the M masks in order; of words that differ in case only the best. The probability is that of
            the softmax over the whole vocabulary, rounded to 3 significant digits; ties stand by vocabulary id. -1
            and 0 fill up where there are fewer than k words.
        """
        if os.getpid() != self._process:
            _prepare_forked_process(self.device.type)
            self._process = os.getpid()
        with self._kernels():
            return self._head.answers(self._encoder.hidden(batch), k, batch.excluded)


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
    """Tokens a model has positions for; those of MPNet, RoBERTa and its kin start after the padding's own."""
    positions = int(config.max_position_embeddings)
    return positions - int(config.pad_token_id) - 1 if config.model_type in AFTER_PADDING else positions
