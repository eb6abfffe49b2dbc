"""A model as ONNX: written by torch's exporter, its weights made int8, and run by onnxruntime in the model's place.

`write_onnx` and `quantise_onnx` write files. Source of int8: onnxruntime's dynamic quantization, which rounds weights
once and activations as they come, so that it needs no data.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from distill.foreign import padded_left
from distill.inputs import XLNET, has_segments
from distill.task_heads import has_span_head

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from transformers import PreTrainedConfig, PreTrainedModel

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
EXAMPLE = (3, 8)  # rows and tokens that the exporter is shown; both axes stay free


class _Graph(nn.Module):
    """A model that takes its inputs in order and gives logits alone, as the exporter wants them."""

    def __init__(self, model: PreTrainedModel, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *tensors: Tensor) -> Any:
        """Logits (B, C); of spans those of starts and of ends, (B, T) each."""
        found = self.model(**dict(zip(self.names, tensors, strict=True)))
        return (found.start_logits, found.end_logits) if has_span_head(self.model) else found.logits


def input_names(model: PreTrainedModel) -> tuple[str, ...]:
    """What a model takes, in the order of the graph's inputs."""
    return ("input_ids", "attention_mask", *(("token_type_ids",) if has_segments(model.config) else ()))


def write_onnx(model: PreTrainedModel, path: Path) -> None:
    """Writes a model as ONNX, with a free number of rows and of tokens.

    What the exporter notes beside each node (lines of source code and where they lie on this machine) is left out.

    Args:
        model: a classifier, a regression or a finder of spans, on the CPU, in eval mode.
        path: of the file; weights of more than 2 GB lie beside it, in a file named after it.

    Raises:
        Exception: a model that the exporter cannot convert; it has many errors of its own.
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    names, ids = input_names(model), torch.full(EXAMPLE, 2)
    mask = torch.ones_like(ids)
    mask[-1, -1] = 0
    shown = (ids, mask, torch.zeros_like(ids))[: len(names)]
    axes = {0: "batch", 1: "sequence"}
    with _quiet():
        program: Any = torch.onnx.export(
            _Graph(model, names).eval(),
            shown,
            dynamo=True,
            input_names=names,
            output_names=("start_logits", "end_logits") if has_span_head(model) else ("logits",),
            dynamic_shapes=(tuple(axes for _ in names),),
            verbose=False,
        )
        ClearMetadataAndDocStringPass()(program.model)
        _forget_shapes(program.model.graph)
        program.save(path)


def _forget_shapes(graph: Any) -> None:
    """Removes shapes within the graph, which loaders infer, and which quantising by onnxruntime below 1.32 refuses."""
    made = (value for node in graph.all_nodes() for value in node.outputs)
    for value in (*graph.initializers.values(), *made):
        if not value.is_graph_output():
            value.shape = value.type = None


def quantise_onnx(path: Path, target: Path) -> None:
    """Writes the same model with weights and embeddings of 8 bits; activations are rounded as they come.

    Each output of a layer has a scale of its own. Weights take 7 of the 8 bits, for sums of products of 8 bits overflow
    on CPUs without VNNI.

    Args:
        path: of the model in fp32.
        target: of the other.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(path, target, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps libraries from warning of packages and passes that are not needed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class OnnxModel(nn.Module):
    """A model that onnxruntime runs on the CPU, wherever logits alone are asked for (`distill.outputs.model_logits`).

    Args:
        path: of the ONNX file.
        config: of the model that it was made from.

    Attributes:
        device: the CPU.
    """

    device = torch.device("cpu")

    def __init__(self, path: Path, config: PreTrainedConfig) -> None:
        import onnxruntime

        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        self.config, providers = config, ["CPUExecutionProvider"]
        self.session: Any = onnxruntime.InferenceSession(str(path), options, providers=providers)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The logits (B, C), of spans (B, T, 2).

        Args:
            inputs: `input_ids` (B, T), and what else the model has; without a mask nothing is padded.
        """
        given = {"attention_mask": torch.ones_like(inputs["input_ids"]), **inputs}
        if self.config.model_type == XLNET:
            given = padded_left(given)
        found = self.session.run(None, {one.name: given[one.name].numpy() for one in self.session.get_inputs()})
        tensors = [torch.from_numpy(one) for one in found]
        return tensors[0] if len(tensors) == 1 else torch.stack(tensors, -1)
