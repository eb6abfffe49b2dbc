"""Ways to a device and back that wait for nothing; on a CPU there is nothing to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Brings an array to a device; a GPU gets it through pinned memory, while the host goes on.

    Args:
        array: of any shape.
        device: where to.
    """
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    with torch.cuda.device(device):  # pinning takes the thread's current card, which is another one in a new thread
        return tensor.pin_memory().to(device, non_blocking=True)


class Fetched:
    """A tensor on its way from the device to the host, by one copy into pinned memory.

    Args:
        tensor: on the device; complete when the work queued so far is done.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        self._host = tensor
        if tensor.device.type == "cuda":
            with torch.cuda.device(tensor.device):
                self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                self._host.copy_(tensor, non_blocking=True)
                self._event = torch.cuda.Event()
                self._event.record(torch.cuda.current_stream())

    def array(self) -> np.ndarray:
        """Its numbers, once they are here."""
        if self._event is not None:
            self._event.synchronize()
        return self._host.numpy()
