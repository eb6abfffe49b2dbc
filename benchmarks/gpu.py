"""What one GPU does, in sections of about four minutes each; every number is in a JSON as soon as it is known.

python benchmarks/gpu.py --data GLUE/SST-2 --glove glove.6B.50d.txt --mlm MODEL --out gpu-results   # the whole table
python benchmarks/gpu.py --only loop recipe --data GLUE/SST-2 --mlm MODEL --out gpu-results  # into the same table
python benchmarks/gpu.py --out gpu-results                       # on the embedded sentences, which are few
python benchmarks/gpu.py --shape tiny --device cpu --seconds 10 --out try   # a rehearsal, without a GPU

Models have BERT-base's shape, random weights, and the vocabulary of --mlm. Ray, gensim and datasets are not needed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent  # run as a file, this folder's modules would hide the packages
sys.path = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "benchmarks")]

# The loader's worker imports this file anew: what is heavy is imported by the functions that need it.

if TYPE_CHECKING:
    from benchmarks.gpu_parts import Results

SECTIONS = ("command", "augment", "floor", "loop", "distill", "recipe", "glue", "tests")
DEMO = ROOT / "pipelines" / "demo"
LISTED = 25  # functions of a profile


def main() -> int:
    """Runs the sections, then prints the table; a section that fails is told and the next one runs."""
    from benchmarks.gpu_table import write_table

    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = [name for name in arguments.only or SECTIONS if not _ran(name, arguments)]
    print(f"\n{write_table(arguments.out)}")
    return 1 if failed else 0


def _ran(name: str, arguments: argparse.Namespace) -> bool:
    from benchmarks.gpu_parts import Results

    results = Results(arguments.out / f"{name}.json", {"section": name})
    began = time.perf_counter()
    arguments.until = time.monotonic() + 180 + arguments.seconds  # for all subprocesses of a section
    try:
        with tempfile.TemporaryDirectory(prefix="gpu-benchmark-") as folder:
            own = {"tests": run_tests, "command": run_command}
            measure = own.get(name) or importlib.import_module(f"benchmarks.gpu_{name}").measure
            measure(arguments, results, Path(folder))
    except (Exception, SystemExit) as error:  # the other sections must run: a card is not always at hand
        results.put("error", found=f"{type(error).__name__}: {error}")
        return False
    results.put("seconds", found=time.perf_counter() - began)
    results.put("complete", found=True)
    return True


def run_tests(arguments: argparse.Namespace, results: Results, folder: Path) -> None:
    """`pytest -m gpu`, of the files that hold such tests: others may want packages that are not installed."""
    shared = ("mark.gpu", "tests.devices")
    files = [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if _mentions(path, shared)]
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", f"--junitxml={report}", *files]
    ran = _run(command, arguments, folder)
    results.put("exit_code", found=ran.returncode)
    if report.is_file():
        cases = list(ElementTree.parse(report).iter("testcase"))
        kinds = {
            kind: [case for case in cases if case.find(kind) is not None] for kind in ("failure", "error", "skipped")
        }
        passed = len(cases) - sum(map(len, kinds.values()))
        results.put("tests", found={"passed": passed, **{kind: len(found) for kind, found in kinds.items()}})
        broken = kinds["failure"] + kinds["error"]
        results.put("failures", found={_named(case): _message(case) for case in broken})
    results.put("output", found=(ran.stdout + ran.stderr)[-4000:])
    if ran.returncode or (arguments.device != "cpu" and not results.content.get("tests", {}).get("passed")):
        raise RuntimeError(f"expected tests that pass, pytest ended with {ran.returncode}")


def run_command(arguments: argparse.Namespace, results: Results, folder: Path) -> None:
    """`augment --engine local` as a user runs it on all rows, what starting and drawing cost, and where time goes."""
    from benchmarks.gpu_parts import about, make_model

    results.content |= about(arguments.device, arguments.shape)
    mlm = make_model(arguments.shape, arguments.mlm, folder / "mlm")
    verb = [
        "pipelines", "augment", "--task", arguments.task, "--data", arguments.data, "--mlm", mlm, "--glove",
        arguments.glove, "--engine", "local", "--device", arguments.device,
    ]  # fmt: skip
    whole = () if arguments.seconds >= 200 else ("--limit", max(64, int(arguments.rows * arguments.seconds / 200)))
    first = [sys.executable, "-m", *verb, *whole, "--out", folder / "run"]
    results.put("command", found=_timed(first, arguments, folder / "run", folder))
    start = [sys.executable, "-m", *verb, "--limit", 64, "--out", folder / "start"]
    results.put("start-up", found=_timed(start, arguments, folder / "start", folder)["seconds"])
    draw = ["-m", "pipelines", "resample", "--candidates", folder / "run", "--out", folder / "drawn", "--seed", 1]
    drawn = _timed([sys.executable, *draw, "--engine", "local"], arguments, folder / "drawn", folder, "augmented")
    results.put("drawn a second", found=drawn["rows"] / drawn["seconds"])
    few = ["--limit", max(64, int(arguments.rows * arguments.seconds / 800))]
    spaced = [sys.executable, "-m", *verb, *few, "--mask-spacing", 8, "--out", folder / "spaced"]
    results.put("command, mask spacing 8", found=_timed(spaced, arguments, folder / "spaced", folder))
    profile = folder / "profile"
    profiled = [sys.executable, "-m", "cProfile", "-o", profile, "-m", *verb, *few, "--out", folder / "profiled"]
    results.put("profiled command", found=_timed(profiled, arguments, folder / "profiled", folder))
    results.put("functions by their own seconds", found=_functions(profile))


def _timed(
    command: list[Any], arguments: argparse.Namespace, out: Path, folder: Path, stage: str = "candidates"
) -> dict[str, Any]:
    start = time.perf_counter()
    ran = _run([str(part) for part in command], arguments, folder)
    seconds = time.perf_counter() - start
    if ran.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[2:4]))} ended with {ran.returncode}: {ran.stderr[-500:]}")
    manifest = json.loads((out / stage / "manifest.json").read_text())
    if stage == "augmented":
        return {"seconds": seconds, "rows": sum(shard["rows"] for shard in manifest["shards"])}
    counts = manifest["counts"]
    compute = json.loads((out / "run.json").read_text())["identity"]["settings"]["compute"]
    rates = {f"{kind}_per_second": counts[kind] / seconds for kind in ("texts", "masked_words")}
    kept = {kind: counts[kind] for kind in ("texts", "masked_words", "mlm_tokens", "split_batches")}
    return {"seconds": seconds, **rates, **kept, **compute}


def _run(command: list[str], arguments: argparse.Namespace, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    places = {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TINYAUG_CACHE": str(folder / "cache")}
    left = max(10.0, arguments.until - time.monotonic())
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **places}, capture_output=True, text=True, timeout=left, check=False
    )


def _functions(profile: Path) -> list[dict[str, Any]]:
    import pstats

    stats: Any = pstats.Stats(str(profile)).stats
    costliest = sorted(stats.items(), key=lambda item: -item[1][2])[:LISTED]
    return [
        {"function": f"{Path(file).name}:{line} {name}", "calls": calls, "own_seconds": own, "seconds": whole}
        for (file, line, name), (_, calls, own, whole, _) in costliest
    ]


def _mentions(path: Path, words: tuple[str, ...]) -> bool:
    text = path.read_text(encoding="utf-8")
    return any(word in text for word in words)


def _named(case: ElementTree.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def _message(case: ElementTree.Element) -> str:
    found = case.find("failure") if case.find("failure") is not None else case.find("error")
    return str(found.get("message"))[:600] if found is not None else ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="by default all")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="folder for a JSON of each section")
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--data", type=Path, default=DEMO / "sst2", help="of the task, as for `tinyaug augment`")
    parser.add_argument("--mlm", default=str(DEMO / "mlm"), help="folder whose tokenizer the random models take")
    parser.add_argument("--glove", default=str(DEMO / "glove" / "glove.demo.50d.txt.gz"), help="a file, or none")
    parser.add_argument("--shape", choices=("base", "tiny"), default="base", help="of the models")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--seconds", type=float, default=200, help="a section, about: more or less is measured")
    parser.add_argument("--texts", type=int, default=20_000, help="that augmentation and distillation draw from")
    parser.add_argument("--piece", type=int, default=6000, help="texts that ours is given at once")
    parser.add_argument("--steps", type=int, default=48, help="of an epoch of distillation, with batches of 32")
    parser.add_argument("--rows", type=int, default=20_000, help="of the command, where it does not take all")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
