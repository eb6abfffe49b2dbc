"""Loads the masked LM, vectors and neighbours for a worker and makes sure they, and its software, are the run's own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pyarrow as pa

from augment.similar import KnownNeighbours
from augment.tokenizer import load_splitter
from pipelines.augmenting.snapshot import read_snapshot
from pipelines.errors import UserError
from pipelines.run_folder.identity import differences, software_versions
from pipelines.run_folder.parquet import RowReader
from pipelines.run_folder.records import ShardNames, read_record
from pipelines.run_folder.storage import Storage

if TYPE_CHECKING:
    from augment.candidates import CandidateFinder
    from augment.files.find import ModelFiles
    from augment.words import WordSplitter
    from glove import WordVectors
    from pipelines.augmenting.settings import Identity
    from pipelines.augmenting.stages import Job
    from pipelines.found import Found

NEIGHBOURS = "neighbours"  # a stage's folder


def load_finder(job: Job, found: Found) -> CandidateFinder:
    """The candidate finder of a job, on this machine.

    Args:
        job: names of masked LM and vectors, and the fingerprints they must have.
        found: what this process has found already; a worker finds, and so verifies, for itself.

    Returns:
        The finder; torch is set to the job's number of threads.

    Raises:
        UserError: this machine's masked LM or vectors are not those the run was started with.
        AugmentError: this machine lacks the device.
    """
    import torch

    from augment.candidates import CandidateFinder
    from augment.masked_lm import load_masked_lm, resolve_device

    settings = job.identity.settings
    torch.set_num_threads(settings.compute.threads)
    files = _masked_lm(job, found)
    vectors = _vectors(job, found)
    device = resolve_device(settings.compute.device)
    model = load_masked_lm(files, device, settings.compute.precision, settings.candidates.punctuation)
    tokens = settings.compute.batch_tokens or model.batch_tokens  # a run records the number
    finder = CandidateFinder(model, vectors, settings.candidates, tokens, settings.compute.threads)
    finder.similar.known = known_neighbours(job.source, job.candidates_hash) if vectors is not None else None
    return finder


def load_words(job: Job, found: Found) -> tuple[WordSplitter, WordVectors | None]:
    """What splits texts into words as a job's masked LM does, and the job's vectors.

    Args:
        job: as for `load_finder`.
        found: likewise.

    Raises:
        UserError: as for `load_finder`.
        AugmentError: there is no tokenizer that can be used.
    """
    return load_splitter(_masked_lm(job, found)), _vectors(job, found)


def require_same_software(identity: Identity, computes: bool) -> None:
    """Makes sure that this machine would make the same bytes as the one the command was given on.

    Args:
        identity: names the versions there.
        computes: whether the masked LM runs: what multiplies its matrices counts, too.

    Raises:
        UserError: this machine has other versions.
    """
    here = software_versions(identity.settings.compute if computes else None)
    found = differences({name: identity.versions.get(name) for name in here}, here)
    if found:
        raise UserError(
            f"worker on {socket.gethostname()}: expected the software this job was started with, found other "
            f"{'; '.join(found)}; install the same versions on every machine"
        )


def _masked_lm(job: Job, found: Found) -> ModelFiles:
    files = found.masked_lm(str(job.mlm), job.mlm_revision)
    _require_same("masked LM", files.name, files.fingerprint, job.identity.models["mlm"])
    return files


def _vectors(job: Job, found: Found) -> WordVectors | None:
    if job.glove is None:
        return None
    vectors = found.vectors(job.glove)
    _require_same("vectors", vectors.name, vectors.fingerprint, job.identity.models["glove"])
    return vectors


def _require_same(what: str, name: str, found: str, expected: str) -> None:
    if found != expected:
        raise UserError(
            f"{what} {name}: expected fingerprint {expected[:12]}… as the run was started with, found {found[:12]}…; "
            "give every machine the same files"
        )


def known_neighbours(run: str, candidates_hash: str) -> KnownNeighbours | None:
    """The neighbours that a run has found; None where it has no such table, or not all of it.

    Args:
        run: its folder.
        candidates_hash: of its settings.
    """
    storage = Storage(run)
    snapshot = read_snapshot(storage)
    parts = len(snapshot.word_bounds) - 1 if snapshot is not None else 0
    names, tables = ShardNames(NEIGHBOURS, "part", parts), []
    for part in range(parts):
        record = read_record(storage, names, part, candidates_hash)
        if record is None:
            return None
        reader = RowReader(storage, names.data(part))
        tables.append(reader.range(0, reader.rows))
        reader.close()
    return KnownNeighbours(pa.concat_tables(tables)) if tables else None
