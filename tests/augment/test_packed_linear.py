"""oneDNN's linear layers give what torch's own give."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from augment import packed_linear
from augment.files.find import find_model
from augment.masked_lm import load_masked_lm
from augment.packed_linear import ONEDNN, TORCH, PackedLinear, linear_kernel, pack_linear_layers


def _model(act: str = "gelu") -> BertForMaskedLM:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, hidden_act=act
    )
    return BertForMaskedLM(config).eval()


@pytest.fixture
def _packable():
    if not packed_linear._can_pack(torch.float32):
        pytest.skip("this build of torch has no oneDNN")


@pytest.mark.usefixtures("_packable")
@pytest.mark.parametrize("act", ["gelu", "relu", "gelu_new"])
def test_packed_model_gives_the_same_logits(act):
    model = _model(act)
    packed = copy.deepcopy(model)
    with torch.inference_mode():
        assert pack_linear_layers(packed)
        ids = torch.arange(1, 22).view(3, 7)
        assert torch.allclose(packed(input_ids=ids).logits, model(input_ids=ids).logits, atol=2e-5)
    assert not any(type(module) is torch.nn.Linear for module in packed.modules())


@pytest.mark.usefixtures("_packable")
def test_only_exact_gelu_is_fused():
    for act, fused in (("gelu", True), ("gelu_new", False), ("relu", False)):
        model = _model(act)
        pack_linear_layers(model)
        activation = model.bert.encoder.layer[0].intermediate.intermediate_act_fn
        assert isinstance(activation, torch.nn.Identity) == fused


@pytest.mark.usefixtures("_packable")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_any_number_of_rows(dtype, bias):
    torch.manual_seed(1)
    linear = torch.nn.Linear(16, 48, bias=bias, dtype=dtype)
    with torch.inference_mode():
        packed = PackedLinear(linear)
        for shape in ((1, 16), (5, 3, 16), (4096, 16)):
            states = torch.randn(shape, dtype=dtype)
            tolerance = 1e-5 if dtype == torch.float32 else 2e-2
            assert torch.allclose(packed(states), linear(states), atol=tolerance, rtol=tolerance)


def test_without_the_operator_the_model_is_left_as_it_was(monkeypatch):
    def refuse(*_args: object) -> None:
        raise AttributeError("no such operator")

    monkeypatch.setattr(PackedLinear, "__init__", refuse)
    model = _model()
    assert not pack_linear_layers(model)
    assert any(type(module) is torch.nn.Linear for module in model.modules())


@pytest.mark.usefixtures("_packable")
def test_each_kind_of_number_is_tried_by_itself(monkeypatch):
    """A CPU may have oneDNN's kernels for one kind of number and not for the other."""
    original = PackedLinear.__init__

    def without_bf16(self, linear, activation="none"):
        if linear.weight.dtype == torch.bfloat16:
            raise RuntimeError("bf16 is not supported on this CPU")
        original(self, linear, activation)

    monkeypatch.setattr(PackedLinear, "__init__", without_bf16)
    assert pack_linear_layers(_model())
    assert not pack_linear_layers(_model().to(torch.bfloat16))
    assert (linear_kernel("cpu", "fp32"), linear_kernel("cpu", "bf16")) == (ONEDNN, TORCH)


@pytest.mark.parametrize("works", [True, False])
def test_what_a_run_records_is_what_is_loaded(mlm_folder, monkeypatch, works):
    monkeypatch.setattr(packed_linear, "_can_pack", lambda dtype: works and dtype != torch.float16)
    monkeypatch.setattr(PackedLinear, "__init__", lambda self, *_: torch.nn.Module.__init__(self))
    for precision in ("fp32", "bf16", "fp16"):
        lm = load_masked_lm(find_model(str(mlm_folder)), "cpu", precision)
        packed = any(isinstance(module, PackedLinear) for module in lm._encoder._model.modules())
        assert linear_kernel("cpu", precision) == (ONEDNN if packed else TORCH)
        assert packed == (works and precision != "fp16")
    assert linear_kernel("cuda", "fp32") == linear_kernel("cuda:1", "bf16") == TORCH


@pytest.mark.usefixtures("_packable")
def test_onednn_sees_few_numbers_of_rows(monkeypatch):
    """It keeps code for each number of rows for ever; any of them must give the same outcome nonetheless."""
    seen = set()
    operator = torch.ops.mkldnn._linear_pointwise

    def spy(states, *rest):
        seen.add(states.shape[:-1].numel())
        return operator(states, *rest)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", spy, raising=False)
    torch.manual_seed(2)
    linear = torch.nn.Linear(8, 16)
    with torch.inference_mode():
        packed = PackedLinear(linear)
        for rows in range(1, 5000, 7):
            states = torch.randn(rows, 8)
            assert torch.allclose(packed(states), linear(states), atol=1e-5)
    assert len(seen) < 160
