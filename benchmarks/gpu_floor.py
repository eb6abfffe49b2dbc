"""The floor of augmentation on a GPU: a BERT's layers in bf16 and nothing else, over copies laid out in each way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from augment.candidates import CandidateFinder
from augment.files.find import find_model
from augment.last_layer import _layer
from augment.layouts import Layout
from augment.masked_lm import load_masked_lm
from augment.precision import dtype_of, gpu_kernels
from augment.presets import CandidateSettings
from benchmarks.augment import copies, plain_model
from benchmarks.baselines import BareEncoder
from benchmarks.gpu_parts import about, layer_weights, make_model, rate, read_texts

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from torch import Tensor

    from augment.batch import Batch
    from augment.candidates import Asked
    from augment.masked_lm import MaskedLM
    from benchmarks.gpu_parts import Results

TOKENS = (4_096, 16_384, 65_536, 131_072)
LAYOUTS = (Layout.PACKED, Layout.EQUAL, Layout.EIGHTS)
FEW = 1024  # texts that transformers' own loop is given


def measure(arguments: argparse.Namespace, results: Results, folder: Path) -> None:
    """Each layout at each number of tokens as it is, then compiled at its best one; transformers' own loop."""
    results.content |= about(arguments.device, arguments.shape)
    files, second = find_model(str(make_model(arguments.shape, arguments.mlm, folder / "mlm"))), arguments.seconds / 200
    texts = read_texts(arguments.task, arguments.data, arguments.texts)
    model = load_masked_lm(files, arguments.device, "bf16")
    finder = CandidateFinder(model, None, CandidateSettings(), model.batch_tokens)
    asked = finder.prepare(texts[: max(64, int(arguments.piece * min(1.0, second)))])
    results.put("tokens_of_a_copy", found=float(asked.copies.lengths.mean()))
    results.put("flop_of_a_token", found=2 * layer_weights(model._encoder._base.config))
    for layout in LAYOUTS:
        rates = {tokens: _measured(results, model, asked, layout, tokens, 3 * second) for tokens in TOKENS}
        _measured(results, model, asked, layout, max(rates, key=lambda tokens: rates[tokens]), 4 * second, True)
    special = (model.cls_id, model.sep_id, model.mask_id)
    lines = copies(finder, model.splitter.split(texts[: max(64, int(FEW * min(1.0, second)))]), special)
    for precision in ("bf16", "fp32"):
        encoder = plain_model(files.folder, arguments.device).base_model.to(dtype_of(precision))
        for tokens in TOKENS:
            floor = BareEncoder(encoder, lines, tokens)
            with gpu_kernels(precision, torch.device(arguments.device)):
                found = rate(lambda way: way.run() or len(lines), [floor], 2 * second)
            results.put("words_per_second", f"{precision}, transformers' loop, {tokens} tokens", found=found)


class Encoder:
    """All layers of a masked LM over batches that lie on the device.

    Args:
        model: a BERT.
        asked: the texts and their masks.
        layout: of the batches.
        tokens: of a batch.
        compiled: whether `torch.compile` makes kernels of it.
    """

    def __init__(self, model: MaskedLM, asked: Asked, layout: Layout, tokens: int, compiled: bool) -> None:
        there, cuts = model.on_device(asked.copies), asked.copies.cutter(layout, tokens).cuts()
        self._batches = [there.batch(cut, layout) for cut in cuts]
        self._base, self._kernels, self._words = model._encoder._base, model._kernels, len(asked.copies.slots)
        self._run = torch.compile(self._states, dynamic=True) if compiled else self._states

    def run(self) -> int:
        """One pass over all copies, of which each is a masked word."""
        with torch.inference_mode(), self._kernels():
            for batch in self._batches:
                self._run(batch)
        return self._words

    def _states(self, batch: Batch) -> Tensor:
        base = self._base
        states: Tensor = base.embeddings(input_ids=batch.ids, token_type_ids=batch.segments, position_ids=batch.places)
        for layer in base.encoder.layer:
            states = _layer(layer, states, states, batch.attend)
        return states


def _measured(
    results: Results, model: MaskedLM, asked: Asked, layout: Layout, tokens: int, seconds: float, compiled: bool = False
) -> float:
    """Masked words a second; a way that fails is told and counts as 0."""
    name, begun = f"bf16, {layout.value}, {tokens} tokens, {'compiled' if compiled else 'eager'}", time.perf_counter()
    try:
        encoder = Encoder(model, asked, layout, tokens, compiled)
        encoder.run()
        results.put("seconds_of_the_first_call", name, found=time.perf_counter() - begun)
        found = rate(Encoder.run, [encoder], seconds)
    except Exception as error:  # a way that a card does not have; the others are measured
        results.put("errors", name, found=f"{type(error).__name__}: {str(error)[:300]}")
        return 0.0
    results.put("words_per_second", name, found=found)
    return found
