"""A cluster that is joined: it may have fewer slots than workers are asked for, and may grow while the job runs."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.engines import EngineSettings, Failure, run_parts
from pipelines.engines.on_ray import Pool, actor_pool
from pipelines.engines.ray_start import _own_token
from pipelines.run_folder.records import Record
from tests.pipelines.engines.test_engines import Work

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = 7


@dataclass(frozen=True)
class Growing(Work):
    """A stage whose first part is done by one worker; every other part ends only once three have come."""

    def work(self, part: int) -> Record:
        folder, deadline = Path(self.folder), time.monotonic() + 120
        (folder / f"worker-{os.getpid()}").touch()
        while (folder / "grown").exists() and len(list(folder.glob("worker-*"))) < 3:
            if time.monotonic() > deadline:
                raise TimeoutError("the other workers never came")
            time.sleep(0.05)
        return super().work(part)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of one node with one CPU."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    _own_token()  # read when Ray is imported
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000})
    yield cluster
    cluster.shutdown()


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_a_cluster_with_room_for_fewer_workers_and_one_that_grows(tmp_path, cluster):
    def ran(name: str, settings: EngineSettings, joins: bool = False) -> int:
        """Runs all parts; gives the number of workers."""
        folder, found = tmp_path / name, []
        folder.mkdir()

        def on_done(one: Record | Failure) -> None:
            if joins and not found:
                assert len(list(folder.glob("worker-*"))) == 1
                (folder / "grown").touch()
                cluster.add_node(num_cpus=2, object_store_memory=80_000_000)
            found.append(one)

        run_parts(Growing(str(folder), ("",) * PARTS), list(range(PARTS)), settings, on_done)
        assert sorted(one.part for one in found if isinstance(one, Record)) == list(range(PARTS))
        return len(list(folder.glob("worker-*")))

    assert ran("small", EngineSettings("ray", workers=3, address=cluster.address)) == 1
    assert ran("growing", EngineSettings("ray", address=cluster.address), joins=True) == 3


@pytest.mark.parametrize(
    ("nodes", "settings", "parts", "pool"),
    [
        ([{"CPU": 16.0}], EngineSettings("ray"), 100, Pool(16, 100, 1, 0)),
        ([{"CPU": 16.0}], EngineSettings("ray", threads=4), 100, Pool(4, 100, 4, 0)),
        ([{"CPU": 3.0}, {"CPU": 3.0}], EngineSettings("ray", threads=2), 100, Pool(2, 100, 2, 0)),
        ([{"CPU": 16.0}], EngineSettings("ray"), 5, Pool(5, 5, 1, 0)),
        ([{"CPU": 2.0}], EngineSettings("ray", workers=8), 100, Pool(8, 8, 1, 0)),
        ([{"CPU": 2.0}], EngineSettings("ray", threads=4), 100, Pool(1, 100, 4, 0)),
        ([{"CPU": 32.0, "GPU": 4.0}], EngineSettings("ray", gpu=True), 100, Pool(4, 100, 4, 1)),
        ([{"CPU": 12.0, "GPU": 4.0}], EngineSettings("ray", gpu=True), 3, Pool(3, 3, 3, 1)),
        ([{"CPU": 2.0, "GPU": 4.0}], EngineSettings("ray", gpu=True), 100, Pool(2, 100, 1, 1)),
        # the cores of a head without GPUs are of no use to the GPUs of others
        ([{"CPU": 32.0}, *[{"CPU": 8.0, "GPU": 4.0}] * 2], EngineSettings("ray", gpu=True), 100, Pool(8, 100, 2, 1)),
        ([{"CPU": 8.0}], EngineSettings("ray", gpu=True), 100, Pool(1, 100, 1, 1)),
    ],
)
def test_all_workers_that_fit_start_at_once_and_a_gpu_has_cores_of_its_own(nodes, settings, parts, pool):
    assert actor_pool(nodes, settings, parts) == pool
