"""The teacher's matrix products on a CPU: by oneDNN with packed weights, as the masked LM's in augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill.teacher import Teacher


def pack_teacher(teacher: Teacher) -> bool:
    """Lays the teacher's weights out once for all batches, where that works: it only infers.

    Call it when whoever wanted its weights has them (a student that starts from its layers): afterwards they are no
    parameters any more.

    Args:
        teacher: changed in place; on a GPU, or in another precision than fp32, it is left as it is.

    Returns:
        Whether it was done.
    """
    from augment.packed_linear import pack_linear_layers
    from distill.teacher import Precision

    if teacher.model.device.type != "cpu" or teacher.precision is not Precision.FP32:
        return False
    teacher.note_fingerprint()
    return pack_linear_layers(teacher.model)
