"""Whether a GPU reads what is kept of the teacher's layers sooner than the teacher makes it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill.cache_format import CacheKey
    from distill.shards import ShardStream
    from distill.teacher import Teacher


@dataclass(frozen=True)
class CacheSpeed:
    """Seconds an example.

    Args:
        read: from memory onto the device.
        made: by the teacher.
    """

    read: float
    made: float

    @property
    def reads_faster(self) -> bool:
        """Whether a cache saves time."""
        return self.read < self.made

    def __str__(self) -> str:
        if self is NOT_MEASURED:
            return ""
        return f"; of the layers an example takes {self.read * 1e6:.0f} µs to read, {self.made * 1e6:.0f} µs to make"


NOT_MEASURED = CacheSpeed(0.0, 1.0)  # a CPU reads faster by far


def cache_speed(teacher: Teacher, stream: ShardStream, key: CacheKey) -> CacheSpeed:
    """Measures both for some seconds, where the teacher is on a GPU and anything of its layers would be kept.

    Args:
        teacher: the teacher.
        stream: rows, or a sample.
        key: of the cache.
    """
    from distill.targets import kept_outputs
    from distill.timing import reading_cost, sample_batches, teacher_cost

    if not (key.kept.of_layers and is_fast(teacher)):
        return NOT_MEASURED
    batches, wanted = sample_batches(stream, teacher.model.device), kept_outputs(key)
    made = teacher_cost(teacher, wanted, batches).teacher
    return CacheSpeed(reading_cost(teacher, key, batches), made)


def is_fast(teacher: Teacher) -> bool:
    """Whether the teacher may be faster than reading."""
    return teacher.model.device.type == "cuda"
