"""What a training step asks of a device: how many operations, and that it never waits for one.

Counted on a CPU: the operations that torch dispatches but for views, each of which is a kernel on a GPU. A teacher of
12 layers and a student of 4; widths do not count.
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from distill.general import GeneralStage, MaskedLmLoss
from distill.layer_maps import resolve_layer_map
from distill.losses import LossSettings
from distill.masking import MaskSettings
from distill.objectives import IntermediateStage, LabelStage, PredictionStage
from distill.pkd import PkdStage
from distill.precision import Precision
from distill.projections import Projections
from distill.student import Student
from distill.targets import Targets
from distill.teacher import Teacher
from distill.training import train
from distill.training_settings import TrainSettings
from tests.distill.data import open_stream, write_shards
from tests.distill.models import tiny_encoder
from tests.fixtures import tiny_masked_lm

VIEWS = set(
    "view _unsafe_view t transpose expand slice select unsqueeze squeeze permute detach alias unbind split "
    "split_with_sizes as_strided _reshape_alias empty empty_like lift_fresh _record_function_enter_new "
    "_record_function_exit".split()
)
WAITING = ("item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__")
STEPS = 8
PLAIN, HALF = {"precision": Precision.FP32}, {"precision": Precision.BF16}
GROUPED = {**HALF, "teacher_group": 8}


class Operations(TorchDispatchMode):
    """Counts what is dispatched."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One length, so that all batches of a group run together."""
    folder = tmp_path_factory.mktemp("steps") / "shards"
    return write_shards(folder, sizes=(8 * 3 * STEPS,), longest=4)


def stage_of(name: str, precision: Precision):
    """A stage and its teacher."""
    torch.manual_seed(0)
    layers = resolve_layer_map("uniform", 4, 12)
    if name == "general":
        teacher = Teacher(tiny_masked_lm(0, num_hidden_layers=12), layers, precision, predicts=False)
        student = Student(tiny_masked_lm(1, hidden_size=16, num_hidden_layers=4), Projections(16, 32))
        return GeneralStage(student, teacher, LossSettings(), MaskedLmLoss(1.0, 1.0)), teacher
    width = 32 if name == "pkd" else 16
    layers = (3, 6, 9) if name == "pkd" else layers
    teacher = Teacher(tiny_encoder(num_hidden_layers=12), layers, precision)
    student = Student(tiny_encoder(seed=1, hidden_size=width), Projections(width, 32))
    if name == "pkd":
        return PkdStage(student, teacher), teacher
    if name == "labels":
        return LabelStage(student.model), None
    kind = IntermediateStage if name == "intermediate" else PredictionStage
    return kind(student, teacher, LossSettings()), teacher


def run(data, folder, name: str, steps: int, monkeypatch, precision: Precision, **changes) -> Counter[str]:
    """The operations of some steps, of which losses are looked at once, and the calls that wait for a device."""
    stage, teacher = stage_of(name, precision)
    if teacher is not None:
        teacher.half_weights = True
    stream = open_stream(data, masking=MaskSettings() if name == "general" else None, pool_rows=8 * STEPS)
    settings = TrainSettings(
        2, 1e-3, max_steps=steps, log_every=10**6, checkpoint_every=10**6, cpu=True, precision=precision, **changes
    )
    with monkeypatch.context() as patched, Operations() as counted:
        for way in WAITING:
            real = getattr(Tensor, way)

            def waiting(*arguments, way=way, real=real):
                counted.seen[f"Tensor.{way}"] += 1
                return real(*arguments)

            patched.setattr(Tensor, way, waiting)
        train(stage, stream, Targets(teacher) if teacher else None, folder, settings)
    return counted.seen


@pytest.mark.parametrize(
    ("name", "way", "most"),
    [
        ("intermediate", PLAIN, 600),
        ("intermediate", GROUPED, 410),
        ("prediction", PLAIN, 520),
        ("prediction", GROUPED, 405),
        ("labels", PLAIN, 360),
        ("labels", HALF, 375),
        ("pkd", PLAIN, 570),
        ("pkd", HALF, 590),
        ("general", PLAIN, 670),
        ("general", GROUPED, 500),
    ],
)
def test_a_step_has_few_operations_and_waits_for_none(data, tmp_path, monkeypatch, name, way, most):
    """Between whole groups of the teacher: it has run on two groups by the first step."""
    few, many = (run(data, tmp_path / str(n), name, n, monkeypatch, **way) for n in (STEPS, 2 * STEPS))
    counts = {name: (many[name] - few[name]) / STEPS for name in many}
    waits = {name: count for name, count in counts.items() if count and (name in _WAITS or name.startswith("Tensor."))}
    assert waits == {}
    assert few["Tensor.tolist"] > 0  # the look at the end was seen
    found = sum(count for name, count in counts.items() if name not in VIEWS)
    assert 100 < found <= most


_WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "bincount", "masked_select", "unique")
