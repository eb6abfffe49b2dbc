"""Work that loses its device; apart from the tests, since workers that read it then import little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from augment.errors import DeviceLostError
from tests.pipelines.engines.test_engines import Work

if TYPE_CHECKING:
    from pipelines.run_folder.records import Record


@dataclass(frozen=True)
class OnAGpu(Work):
    """Orders of `lose` lose the device at the first try."""

    def work(self, part: int) -> Record:
        """A record, or the loss."""
        record = super().work(part)
        if self.orders[part] == "lose" and self.tries(part) == 1:
            raise DeviceLostError("CUDA error")
        return record
