"""Loads the masked LM and the vectors for a worker and makes sure they are the run's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import UserError

if TYPE_CHECKING:
    from augment.candidates import CandidateFinder
    from pipelines.job import Job


def load_finder(job: Job) -> CandidateFinder:
    """The candidate finder of a job, on this machine.

    Args:
        job: names of masked LM and vectors, and the fingerprints they must have.

    Returns:
        The finder; torch is set to the job's number of threads.

    Raises:
        UserError: this machine's masked LM or vectors are not those the run was started with.
    """
    import torch

    from augment.candidates import CandidateFinder
    from augment.masked_lm import load_masked_lm
    from augment.model_files import find_model
    from glove import load_vectors

    settings = job.identity.settings
    torch.set_num_threads(settings.compute.threads)
    files = find_model(str(job.mlm), job.mlm_revision)
    _require_same("masked LM", files.name, files.fingerprint, job.identity.models["mlm"])
    vectors = None
    if job.glove is not None:
        vectors = load_vectors(job.glove)
        _require_same("vectors", vectors.name, vectors.fingerprint, job.identity.models["glove"])
    model = load_masked_lm(files, settings.compute.device, settings.compute.precision, settings.candidates.punctuation)
    return CandidateFinder(model, vectors, settings.candidates, settings.compute.batch_tokens)


def _require_same(what: str, name: str, found: str, expected: str) -> None:
    if found != expected:
        raise UserError(
            f"{what} {name}: expected fingerprint {expected[:12]}… as the run was started with, found {found[:12]}…; "
            "give every machine the same files"
        )
