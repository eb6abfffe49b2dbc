"""What the code gave when it was rebuilt: rows and edits, losses, and the names of all fields that it writes.

`golden.json` holds the values. Where they are meant to change, `GOLDEN=write pytest tests/pipelines/test_golden.py`
writes them again; the commit then says why.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from augment.presets import PRESETS
from tests.pipelines.jobs import done, rows
from tests.pipelines.training.general import MASKED
from tests.pipelines.training.verbs import distill, general, run

GOLDEN = Path(__file__).with_name("golden.json")
MODES = ("one text", "joint", "first", "second", "each")
FILES = ("run.json", "metrics.json", "corpus.json", "*/manifest.json", "*/records/*-00000-*.json")
META = (b"tinyaug", b"huggingface")
OTHERS = ("config", "files", "hardware")  # whose inner names are chosen by transformers or by the machine


def known(name: str) -> dict[str, list[str]]:
    return {key: words.split() for key, words in json.loads(GOLDEN.read_text())[name].items()}


def same(name: str, found: dict[str, list[str]]) -> None:
    """Compares with golden.json, numbers to four digits; writes it where the environment asks for that."""
    if os.environ.get("GOLDEN") == "write":
        others = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
        words = {name: {key: " ".join(value) for key, value in found.items()}}
        GOLDEN.write_text(json.dumps(others | words, indent=1, sort_keys=True) + "\n")
    expected = known(name)
    assert found.keys() == expected.keys()
    for key, words in expected.items():
        if name.startswith(("losses", "scores")):
            assert [*map(float, found[key])] == pytest.approx([*map(float, words)], rel=1e-4), key
        else:
            assert found[key] == words, key


def augmented(inputs, pairs_folder, out: Path, preset: str, mode: str, *more: object) -> tuple[str, str]:
    """A digest of all rows that `augment` writes without the scores of their edits, and the sum of these scores."""
    task = () if mode == "one text" else ("--task", "rte", "--data", pairs_folder, "--pairs", mode)
    options = ("--preset", preset, "--limit", 20, "--shard-rows", 7, "--device", "cpu")
    done(*inputs.augment(out, *options, *task, *more))
    found = rows(out)
    assert {row["source_idx"] for row in found} == set(range(20))
    scores = [edit.pop("score") for row in found for edit in row["edits"]]
    content = json.dumps(found, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:16], f"{sum(scores):.6g}"


@pytest.mark.parametrize("preset", PRESETS)
def test_rows_and_edits(inputs, pairs_folder, tmp_path, preset):
    found = {mode: augmented(inputs, pairs_folder, tmp_path / mode, preset, mode) for mode in MODES}
    same(f"rows of {preset}", {mode: [digest] for mode, (digest, _) in found.items()})
    same(f"scores of {preset}", {mode: [scores] for mode, (_, scores) in found.items()})
    assert len(set(found.values())) == len(MODES)


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize(
    ("engine", "preset", "mode"),
    [("local", "paper", "each"), ("ray", "texts", "joint")],
)
def test_rows_and_edits_of_two_workers(inputs, pairs_folder, tmp_path, engine, preset, mode):
    digest, _ = augmented(inputs, pairs_folder, tmp_path, preset, mode, "--engine", engine, "--workers", 2)
    assert [digest] == known(f"rows of {preset}")[mode]


@pytest.fixture(scope="module")
def folders(inputs, parts, corpus, tmp_path_factory) -> dict[str, Path]:
    """One run of each verb that writes a folder, by its name."""
    root = tmp_path_factory.mktemp("golden")
    made = {name: root / name for name in ("augment", "distill", "distill-general", "cache-teacher", "run")}
    done(*inputs.augment(made["augment"], "--device", "cpu"))
    done(*distill(parts, made["distill"], "--lr-intermediate", 5e-5, "--lr-prediction", 3e-5))
    done(*general(parts, corpus, made["distill-general"], *MASKED, "--embedding-init", "projected"))
    ahead = distill(parts, made["cache-teacher"])[1:]
    for option in ("--epochs-intermediate", "--epochs-prediction"):
        del ahead[ahead.index(option) : ahead.index(option) + 2]
    done("cache-teacher", *ahead)
    done(*run(parts, made["run"]))
    return {**made, "finetune": parts.teacher}


def losses(path: Path) -> dict[str, list[str]]:
    """The columns of losses.csv, rounded to six digits."""
    found = defaultdict(list)
    with path.open() as stream:
        for row in csv.DictReader(stream):
            for name, value in row.items():
                found[name].append(f"{float(value):.6g}")
    return found


@pytest.mark.parametrize("verb", ["finetune", "distill", "distill-general"])
def test_losses(folders, verb):
    files = sorted(folders[verb].rglob("losses.csv"))
    assert len(files) == (2 if verb == "distill" else 1)
    found = {f"{path.parent.name}: {name}": values for path in files for name, values in losses(path).items()}
    same(f"losses of {verb}", found)


def names(content: Any, above: str = "") -> set[str]:
    """The names of all fields, those of inner objects after the outer one's and a dot."""
    if not isinstance(content, (dict, list)) or not content or above.rpartition(".")[2] in OTHERS:
        return {above}
    if isinstance(content, list):
        return {name for one in content for name in names(one, above)}
    return {name for key, one in content.items() for name in names(one, f"{above}.{key}" if above else key)}


@pytest.mark.parametrize("verb", ["augment", "finetune", "distill", "distill-general", "cache-teacher", "run"])
def test_names_of_fields(folders, verb):
    paths = [path for name in FILES for path in folders[verb].glob(name)]
    found = {str(path.relative_to(folders[verb])): sorted(names(json.loads(path.read_text()))) for path in paths}
    same(f"fields of {verb}", found)


@pytest.mark.parametrize("stage", ["candidates", "augmented"])
def test_names_in_the_metadata_of_shards(folders, stage):
    metadata = pq.read_schema(next(folders["augment"].glob(f"{stage}/data/*.parquet"))).metadata
    found = {key: sorted(names(json.loads(value))) for key, value in metadata.items() if key in META}
    same(f"metadata of {stage}", {key.decode(): words for key, words in found.items()})
