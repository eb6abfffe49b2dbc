"""What is reached over a network: the model hub, gensim's vectors, a Ray cluster; and what is here already."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.doctor import FAIL, OK, WARN, Finding
from pipelines.errors import UserError
from pipelines.wording import first_line

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 3.5  # for each answer
TASK, MLM, VECTORS = "sst2", "bert-base-uncased", "glove-wiki-gigaword-300"  # what `--task sst2` takes by default
STUDENT = "huawei-noah/TinyBERT_General_4L_312D"
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
LOCAL = "--demo needs no network; or give --data, --mlm, --glove and --student-init as local paths"


def check_hub(environment: Mapping[str, str]) -> list[Finding]:
    """Whether the model hub answers, and what of the defaults that come from there is here already.

    Args:
        environment: of this process.
    """
    hub = _hub_finding(environment)
    online = hub.state == OK
    return [
        hub,
        _default("sst2 data", TASK, _task_place(), "some MB", "--data FOLDER", online),
        _default("masked LM", MLM, _model_place(MLM), "440 MB", "--mlm FOLDER", online),
        _default("general student", STUDENT, _model_place(STUDENT), "60 MB", "--student-init FOLDER", online),
    ]


def check_vectors() -> list[Finding]:
    """Whether gensim's list of vectors can be read, and whether the default ones are here already."""
    from glove import VectorsError
    from glove.download import find_checksum, kept_file, list_url

    host = Finding("vectors host", OK, f"{list_url()} answers")
    try:
        find_checksum(VECTORS, SECONDS)
    except VectorsError as error:
        found = f"{list_url()} is of no use ({first_line(error.__cause__ or error)}): vectors cannot be fetched by name"
        host = Finding(
            host.name, WARN, found, "check the network, name a mirror by TINYAUG_GENSIM_URL, or give --glove"
        )
    place = kept_file(VECTORS)
    return [host, _default("GloVe", VECTORS, place, "376 MB", "--glove FILE", host.state == OK)]


def _hub_finding(environment: Mapping[str, str]) -> Finding:
    from glove.deadline import ask_in_time

    name = "model hub"
    told = [variable for variable in OFFLINE if environment.get(variable, "").upper() in ("1", "ON", "YES", "TRUE")]
    if told:
        found = f"{', '.join(told)} set: what is not in the local cache cannot be had"
        return Finding(name, WARN, found, f"unset {told[0]} to download; {LOCAL}")
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    try:
        ask_in_time(lambda: HfApi().model_info(MLM, timeout=SECONDS), SECONDS)
    except HfHubHTTPError as error:
        found = f"{constants.ENDPOINT} answers, but refuses {MLM} ({first_line(error)}): it may not be had from there"
        return Finding(name, WARN, found, f"check HF_ENDPOINT and HF_TOKEN; {LOCAL}")
    except Exception as error:  # the client raises many kinds
        found = f"{constants.ENDPOINT} does not answer ({first_line(error)}): nothing can be downloaded from it"
        return Finding(name, WARN, found, f"check the network, a proxy (HTTPS_PROXY) or HF_ENDPOINT; {LOCAL}")
    return Finding(name, OK, f"{constants.ENDPOINT} answers")


def _default(name: str, what: str, place: Path | None, amount: str, option: str, online: bool) -> Finding:
    """Whether a default of `tinyaug run --task sst2` is here, or can be had."""
    if place is not None:
        return Finding(name, OK, f"{what}: here already, {place}")
    if online:
        return Finding(name, OK, f"{what}: not here yet, {amount} to download")
    found = (
        f"{what}: not in the local cache, and cannot be had: `tinyaug run --task {TASK}` without {option} would fail"
    )
    return Finding(name, WARN, found, f"run it once with a network, or give {option}")


def check_ray(address: str | None, environment: Mapping[str, str]) -> Finding:
    """Whether a Ray cluster can be joined, or started here.

    Args:
        address: as given by --address; None for RAY_ADDRESS, or a cluster of our own.
        environment: of this process.
    """
    from pipelines.engines.ray_start import require_reachable

    if importlib.util.find_spec("ray") is None:
        found = "the package ray is missing: --engine ray and auto fail"
        return Finding("ray", FAIL, found, "pip install 'ray[data]', or use --engine local")
    named = address or environment.get("RAY_ADDRESS")
    if named:
        source = "--address" if address else "RAY_ADDRESS"
        try:
            require_reachable(named)
        except UserError as error:
            remedy = "start the cluster" if address else "start the cluster, or unset RAY_ADDRESS"
            return Finding("ray", FAIL, f"{source} {named}: {error}", f"{remedy}, or use --engine local")
        return Finding("ray", OK, f"{source} {named}: something listens there")
    return Finding("ray", OK, "a cluster of our own is started on this machine when one is needed")


def _task_place() -> Path | None:
    from pipelines.tasks.glue import GLUE
    from pipelines.tasks.hub import stored_folders

    return next(iter(stored_folders(GLUE[TASK])), None)


def _model_place(name: str) -> Path | None:
    """The folder of a model in the hub's cache, if configuration and weights are there."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, "config.json")
    for weights in ("model.safetensors", "pytorch_model.bin"):
        if isinstance(config, str) and isinstance(try_to_load_from_cache(name, weights), str):
            return Path(config).parent
    return None
