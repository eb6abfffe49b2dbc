"""Disks and object stores that shards are read from: their failures and damaged files, addresses without secrets."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Clients of object stores have no exceptions of their own; Parquet's reader, which finds damage, names no store.
OF_STORES = re.compile("AWS Error|google::cloud|Azure|curlCode|HTTP status", re.IGNORECASE)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Explains what fails while a shard is read.

    Args:
        what: name of the shard, for the message.

    Raises:
        DistillError: the shard is damaged, or its disk or store cannot be read.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        remedy = "It was cut off or damaged: make it again."
        # A disk or a store failed, not the bytes that were read: a system's error has a number.
        if isinstance(error, OSError) and (error.errno is not None or OF_STORES.search(str(error))):
            remedy = "Nothing says that it is damaged: check disk, network and access, and run the same again."
        raise DistillError(f"expected {what}; it cannot be read ({error}). {remedy}") from error


def without_credentials(address: str) -> str:
    """An address as it may be shown: `s3://key:secret@bucket/run` names a secret."""
    return re.sub(r"://[^/@]*@", "://", address)
