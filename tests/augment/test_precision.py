"""What `auto` means for a masked LM: precision, tokens of a pass by a card's memory, kernels."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from augment import Augmenter, last_layer
from augment.errors import AugmentError
from augment.last_layer import EncoderAtPositions
from augment.precision import default_batch_tokens, gpu_batch_tokens, gpu_kernels, resolve_precision
from tests.augment.helpers import propose, tiny_lm
from tests.augment.test_masked_lm import make_copies

BERT_BASE = {"hidden_size": 768, "intermediate_size": 3072, "vocab_size": 30_522}
BERT_LARGE = {"hidden_size": 1024, "intermediate_size": 4096, "vocab_size": 30_522}
GB = 10**9


@pytest.mark.parametrize(("major", "chosen"), [(7, "fp16"), (8, "bf16"), (9, "bf16")])
def test_auto_goes_by_the_capability_of_the_very_card(monkeypatch, major, chosen):
    cards = {torch.device("cuda:1"): SimpleNamespace(major=major)}
    monkeypatch.setattr(torch.cuda, "get_device_properties", cards.__getitem__)
    assert resolve_precision("auto", "cuda:1") == chosen
    assert resolve_precision("auto", "cpu") == "fp32"
    assert [resolve_precision(name, "cuda") for name in ("fp32", "tf32", "bf16")] == ["fp32", "tf32", "bf16"]


def test_what_a_device_lacks_is_refused():
    with pytest.raises(AugmentError, match="precision tf32: expected a GPU, found the device cpu"):
        resolve_precision("tf32", "cpu")
    with pytest.raises(AugmentError, match="precision: expected one of auto, fp32, tf32, bf16, fp16, found 'fp8'"):
        resolve_precision("fp8", "cpu")


@pytest.mark.parametrize(
    ("memory", "config", "precision", "tokens"),
    [
        # (85 GB / 8 - 0.1 GB) / (6 x 768 + 2 x 3072 values of 4 bytes) = 244,000
        (85 * GB, BERT_BASE, "fp32", 65_536),
        (85 * GB, BERT_BASE, "bf16", 65_536),
        # (16 / 8 - 0.125) GB / 43,008 bytes = 43,600; in half precision twice as many
        (16 * GB, BERT_BASE, "fp32", 32_768),
        (16 * GB, BERT_BASE, "tf32", 32_768),
        (16 * GB, BERT_BASE, "fp16", 65_536),
        # (8 / 8 - 0.125) GB / 57,344 bytes = 15,300
        (8 * GB, BERT_LARGE, "fp32", 8_192),
        (8 * GB, {"dim": 768, "hidden_dim": 3072, "vocab_size": 119_547}, "fp32", 8_192),  # its logits take 0.5 GB
        (GB // 2, BERT_BASE, "fp32", 2_048),
    ],
)
def test_tokens_of_a_pass_by_memory(memory, config, precision, tokens):
    assert gpu_batch_tokens(memory, config, precision) == tokens


def test_tokens_of_a_pass_by_device(monkeypatch):
    assert default_batch_tokens("cpu", BERT_BASE, "fp32") == 2048
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=16 * GB))
    assert default_batch_tokens("cuda", BERT_BASE, "fp32") == 32_768


def test_an_augmenter_takes_what_suits_its_device(mlm_folder):
    assert Augmenter.from_pretrained(mlm_folder, device="cpu")._finder.finder.batch_tokens == 2048
    assert Augmenter(tiny_lm(), batch_tokens=99)._finder.finder.batch_tokens == 99
    with pytest.raises(AugmentError, match="precision tf32: expected a GPU"):
        Augmenter.from_pretrained(mlm_folder, device="cpu", precision="tf32")


def test_the_process_s_flags_are_put_back():
    def flags() -> tuple[bool, str]:
        return torch.backends.cuda.cudnn_sdp_enabled(), torch.get_float32_matmul_precision()

    for precision, device, inside in (("bf16", "cuda", (False, "highest")), ("tf32", "cuda", (False, "high"))):
        with gpu_kernels(precision, torch.device(device)):
            assert flags() == inside
        assert flags() == (True, "highest")
    with gpu_kernels("fp32", torch.device("cpu")):
        assert flags() == (True, "highest")


def test_encoder_and_head_run_with_the_device_s_kernels(monkeypatch):
    """The last layer's own attention, too."""
    within: list[str] = []
    seen = []

    @contextmanager
    def noted(precision, device):
        within.append(f"{precision} on {device}")
        yield
        within.clear()

    def watched(method):
        def run(*arguments):
            seen.append((method.__name__, *within))
            return method(*arguments)

        return run

    monkeypatch.setattr("augment.masked_lm.gpu_kernels", noted)
    monkeypatch.setattr(last_layer, "_layer", watched(last_layer._layer))
    for method in (EncoderAtPositions.hidden, EncoderAtPositions.logits):
        monkeypatch.setattr(EncoderAtPositions, method.__name__, watched(method))
    lm = tiny_lm()
    propose(lm, make_copies(lm, [12]), 5)
    assert seen == [(name, "fp32 on cpu") for name in ("hidden", "_layer", "_layer", "logits")]
