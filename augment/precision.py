"""What a masked LM computes in and how much of a text at once: what `auto` means on a device.

torch is imported where a GPU or a type of torch is asked for: a command with nothing left to compute does without it.
"""

from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import TYPE_CHECKING

from augment.errors import AugmentError
from augment.layouts import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

AUTO = "auto"
PRECISIONS = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}  # name -> bytes of a number
CPU_BATCH_TOKENS, MOST_BATCH_TOKENS = 2048, 65_536  # larger passes are no faster on any card that was measured
MEMORY_SHARE = 1 / 8  # of a card for one pass: torch keeps blocks of other shapes, and workers may share the card
MULTIPLYING = RLock()  # held while torch's precision of products, the process's, is another than before
HEAD_BYTES = 16  # for an entry of the vocabulary at a position: its logit in fp32, and copies of it
HEAD_SHARE = 1 / 32  # of a card for the head's logits
HEAD_ROWS, MOST_HEAD_ROWS = 256, 4096  # positions whose logits exist at once; on a card few launch too little


def resolve_precision(precision: str, device: torch.device | str) -> str:
    """Decides `auto`: on a GPU bf16 where it is in hardware (compute capability 8.0), else fp16; fp32 on a CPU.

    Args:
        precision: `auto`, `fp32`, `tf32`, `bf16` or `fp16`.
        device: where the model runs: `cpu`, `cuda` or `cuda:N`.

    Returns:
        A name of PRECISIONS.

    Raises:
        AugmentError: another name, or `tf32` on a device that is no GPU.
    """
    if precision not in (AUTO, *PRECISIONS):
        raise AugmentError(f"precision: expected one of {', '.join((AUTO, *PRECISIONS))}, found {precision!r}")
    if not _is_gpu(device):
        if precision == "tf32":
            raise AugmentError(f"precision tf32: expected a GPU, found the device {device}; use fp32 or bf16")
        return "fp32" if precision == AUTO else precision
    if precision != AUTO:
        return precision
    import torch

    # What is_bf16_supported(including_emulation=False) says of the current device, for any one.
    in_hardware = torch.version.hip is not None or torch.cuda.get_device_properties(torch.device(device)).major >= 8
    return "bf16" if in_hardware else "fp16"


def dtype_of(precision: str) -> torch.dtype:
    """The type of weights and activations.

    Args:
        precision: a name of PRECISIONS.
    """
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)


def default_batch_tokens(device: torch.device | str, config: Mapping[str, object], precision: str) -> int:
    """Tokens of a forward pass where nobody chose them: 2,048 on a CPU, by the memory of a GPU.

    Args:
        device: where the model runs.
        config: of the model, as its config.json has it.
        precision: a name of PRECISIONS.
    """
    if not _is_gpu(device):
        return CPU_BATCH_TOKENS
    import torch

    return gpu_batch_tokens(torch.cuda.get_device_properties(torch.device(device)).total_memory, config, precision)


def gpu_batch_tokens(memory: int, config: Mapping[str, object], precision: str) -> int:
    """Tokens of a forward pass by the memory of a GPU, a power of two between 2,048 and 65,536.

    A token's states take six times the hidden size (input, query, key, value, context, output) and two times the
    feed-forward size (before and after its activation); an eighth of the memory is for them and the head's logits.

    Args:
        memory: bytes of the card, used or not.
        config: of the model: `hidden_size`, `intermediate_size` (DistilBERT's `dim`, `hidden_dim`), `vocab_size`;
            BERT-base's where they are missing.
        precision: a name of PRECISIONS.
    """
    hidden = _size(config, 768, "hidden_size", "dim")
    feed_forward = _size(config, 3072, "intermediate_size", "hidden_dim")
    vocabulary = _size(config, 30_522, "vocab_size")
    free = memory * MEMORY_SHARE - HEAD_BYTES * vocabulary * gpu_head_rows(memory, vocabulary)
    tokens = int(free / ((6 * hidden + 2 * feed_forward) * PRECISIONS[precision]))
    return min(MOST_BATCH_TOKENS, max(CPU_BATCH_TOKENS, 1 << max(0, tokens.bit_length() - 1)))


def default_head_rows(device: torch.device | str, vocabulary: int) -> int:
    """Masked positions whose logits exist at once: 256 on a CPU, by the memory of a GPU.

    Args:
        device: where the model runs.
        vocabulary: entries that have a logit.
    """
    if not _is_gpu(device):
        return HEAD_ROWS
    import torch

    return gpu_head_rows(torch.cuda.get_device_properties(torch.device(device)).total_memory, vocabulary)


def gpu_head_rows(memory: int, vocabulary: int) -> int:
    """The same by the memory of a GPU, a power of two between 256 and 4,096: each 256 are some 40 launches.

    Args:
        memory: bytes of the card, used or not.
        vocabulary: entries that have a logit.
    """
    rows = int(memory * HEAD_SHARE / (HEAD_BYTES * vocabulary))
    return min(MOST_HEAD_ROWS, max(HEAD_ROWS, 1 << max(0, rows.bit_length() - 1)))


def default_layout(device: torch.device, by_layers: bool, end_to_end: bool) -> Layout:
    """How batches are laid out where nobody chose.

    End to end where there is attention for it, which is fastest by 3% on an H200, for nothing is padded and all full
    batches have one shape; elsewhere on a GPU few widths. A CPU has no use for few shapes.

    Args:
        device: where the model runs.
        by_layers: whether its layers are computed one by one, as those of a BERT are.
        end_to_end: whether there is attention for copies end to end.
    """
    if device.type != "cuda":
        return Layout.NEAR
    return Layout.PACKED if by_layers and end_to_end else Layout.EIGHTS


@contextmanager
def gpu_kernels(precision: str, device: torch.device) -> Iterator[None]:
    """On a GPU, attention without cuDNN, and TF32 products where they were chosen; nothing elsewhere.

    torch prefers cuDNN's attention on the newest GPUs, and cuDNN makes a plan, of some 46 ms, for each new shape; here
    nearly every batch has a shape of its own. Both settings are the process's, and are put back at the end.

    Args:
        precision: a name of PRECISIONS.
        device: where the model runs.
    """
    if not _is_gpu(device):
        yield
        return
    import torch

    with ExitStack() as back:
        back.callback(torch.backends.cuda.enable_cudnn_sdp, torch.backends.cuda.cudnn_sdp_enabled())
        torch.backends.cuda.enable_cudnn_sdp(False)
        if precision == "tf32":
            back.enter_context(MULTIPLYING)
            back.callback(multiply_in, torch.get_float32_matmul_precision())
            multiply_in("high")
        yield


def _is_gpu(device: torch.device | str) -> bool:
    return str(device).startswith("cuda")


def multiply_in(name: str) -> None:
    """Sets torch's precision of fp32 products.

    Since torch 2.9 a warning calls this old-fashioned; the newer flag alone would leave the older ones behind, and
    torch's profiler fails where the two differ.
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.set_float32_matmul_precision(name)


def _size(config: Mapping[str, object], usual: int, *names: str) -> int:
    found = next((config[name] for name in names if isinstance(config.get(name), int)), usual)
    return int(str(found))
