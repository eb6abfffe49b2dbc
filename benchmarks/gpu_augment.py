"""Candidates on a GPU: the published ways, ours in each precision, and in each layout of batches."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from transformers import AutoTokenizer

from augment.candidates import CandidateFinder
from augment.files.find import find_model
from augment.layouts import Layout
from augment.masked_lm import load_masked_lm
from augment.precision import PRECISIONS
from augment.presets import CandidateSettings
from benchmarks.augment import overlap, plain_model, spread
from benchmarks.baselines import Batched, Sequential, plain_texts
from benchmarks.distill_ways import synchronise
from benchmarks.gpu_parts import about, make_model, peak_memory, profiled, rate, read_texts
from glove import load_vectors

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from augment.candidate_table import Candidates
    from augment.masked_lm import MaskedLM
    from benchmarks.gpu_parts import Results

SPACING = 8
FEW = 1024  # texts that slow ways are given
HEAD_ROWS = (256, 1024)  # beside our own


def measure(arguments: argparse.Namespace, results: Results, folder: Path) -> None:
    """Runs the section; the budget of seconds is shared out among the ways."""
    section = Section(arguments, results, folder)
    section.published()
    section.ours()
    section.layouts()
    section.with_cudnn()


class Section:
    """The texts and models that all ways share.

    Args:
        arguments: of the command line.
        results: where numbers go.
        folder: for the random model.
    """

    def __init__(self, arguments: argparse.Namespace, results: Results, folder: Path) -> None:
        self.device, self.results = arguments.device, results
        self.second = arguments.seconds / 200  # the shares below are of 200 seconds
        results.content |= about(self.device, arguments.shape)
        self.files = find_model(str(make_model(arguments.shape, arguments.mlm, folder / "mlm")))
        self.vectors = None if arguments.glove == "none" else load_vectors(arguments.glove)
        texts = read_texts(arguments.task, arguments.data, arguments.texts)
        self.few = texts[:FEW]
        self.pieces = [texts[start : start + arguments.piece] for start in range(0, len(texts), arguments.piece)]
        self.halves = tuple(PRECISIONS) if self.device != "cpu" else ("fp32", "bf16")
        self.exact: Candidates | None = None

    def published(self) -> None:
        """As the authors' script, with and without gradients, and as haystack's batched one."""
        model = load_masked_lm(self.files, self.device)
        worded = spread(plain_texts(model.splitter.split(self.few)), 64)
        tokenizer = AutoTokenizer.from_pretrained(self.files.folder)
        for name, gradients, share in (("published", True, 10), ("published, no gradients", False, 7)):
            way = Sequential(plain_model(self.files.folder, self.device, "eager"), tokenizer, self.vectors, gradients)
            found = rate(lambda text, way=way: way.run([text])[0], worded, share * self.second)
            self.results.put("published_words_per_second", name, found=found)
        special = (model.cls_id, model.sep_id, model.mask_id)
        batched = Batched(plain_model(self.files.folder, self.device), special)
        found = rate(lambda text: batched.run([text])[0], worded, 7 * self.second)
        self.results.put("published_words_per_second", "batched", found=found)

    def ours(self) -> None:
        """Ours in each precision, all words apart and 8 words apart together; what they have in common with fp32."""
        for precision in self.halves:
            model = load_masked_lm(self.files, self.device, precision)
            self.results.put("batch_tokens", precision, found=model.batch_tokens)
            for spacing in (0, SPACING):
                name = f"{precision}, mask spacing {spacing}" if spacing else precision
                peak_memory(self.device)
                self.results.put("words_per_second", name, found=self._rate(model, spacing, 4))
                self.results.put("peak_memory", name, found=peak_memory(self.device))
                candidates = self._finder(model, spacing).find(self.few)
                self.exact = self.exact or candidates
                self.results.put("top_20_overlap_with_fp32", name, found=overlap(self.exact, candidates))
            found = profiled(lambda model=model: self._finder(model).find(self.few), self.device)
            self.results.put("profile", precision, found=found)
            self.results.put("profiled_words", found=candidates.counts["masked_words"])

    def layouts(self) -> None:
        """The device's part of the work alone, with full batches, in each layout: as it is, and compiled."""
        for compiled in (False, True):
            for layout in Layout:
                model = load_masked_lm(self.files, self.device, "bf16")
                if compiled:
                    model.compile(dynamic=True)
                model.layout = layout
                self._measured(f"{layout.value}, {'compiled' if compiled else 'eager'}", model)
        for rows in HEAD_ROWS:
            model = load_masked_lm(self.files, self.device, "bf16")
            model._head.rows = rows
            self._measured(f"head of {rows} rows", model)

    def _measured(self, name: str, model: MaskedLM) -> None:
        """What one way to run the masked LM reaches; one that fails is told, and the others are measured."""
        try:
            finder = self._finder(model)
            asked = finder.prepare(self.pieces[0])
            cuts = list(asked.copies.cutter(model.layout, model.batch_tokens).cuts())
            few, start = finder.prepare(self.few), time.perf_counter()
            proposals = finder.propose(few)
            synchronise()
            found = {
                "seconds_of_the_first_call": time.perf_counter() - start,
                "words_per_second": rate(
                    lambda one: finder.propose(one) and len(one.copies.slots), [asked], 4 * self.second
                ),
                "peak_memory": peak_memory(self.device),
                "shapes": len({cut[2:] for cut in cuts}),
                "filled": float(asked.copies.lengths.sum()) / len(cuts) / model.batch_tokens,
                "computed_in_vain": 1 - float(asked.copies.lengths.sum()) / sum(cut.rows * cut.width for cut in cuts),
            }
            if self.exact is not None:
                found["top_20_overlap_with_fp32"] = overlap(self.exact, finder.assemble(few, proposals))
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        self.results.put("layouts", name, found=found)

    def with_cudnn(self) -> None:
        """Ours in bf16 with cuDNN's attention, where torch would choose it: what leaving it out gains."""
        if self.device == "cpu":
            return
        model = load_masked_lm(self.files, self.device, "bf16")
        model._kernels = nullcontext
        self.results.put("words_per_second", "bf16, cuDNN's attention", found=self._rate(model, 0, 8))

    def _finder(self, model: MaskedLM, spacing: int = 0) -> CandidateFinder:
        """One that remembers nothing: each piece looks its multi-piece words up anew, as the others do."""
        return CandidateFinder(model, self.vectors, CandidateSettings(mask_spacing=spacing), model.batch_tokens)

    def _rate(self, model: MaskedLM, spacing: int, share: float) -> float:
        def masked(texts: list[str]) -> int:
            return self._finder(model, spacing).find(texts).counts["masked_words"]

        return rate(masked, self.pieces if model.precision in ("bf16", "fp16") else [self.few], share * self.second)
