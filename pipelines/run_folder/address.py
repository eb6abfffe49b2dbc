"""Opens an object store, after a short try whether it can be reached: its client takes long to say so."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from distill.stores import without_credentials
from pipelines.errors import UserError
from pipelines.machine.network import connection_trouble

if TYPE_CHECKING:
    import pyarrow.fs as pafs

SECONDS = 3.0
PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
PORTS = {"http": 80, "https": 443}


def open_store(uri: str) -> tuple[pafs.FileSystem, str]:
    """The file system of an address, and the path in it.

    Args:
        uri: as the user gave it.

    Raises:
        UserError: pyarrow cannot open it, or nothing answers there.
    """
    import pyarrow.fs as pafs

    require_store(uri)
    try:
        filesystem, prefix = pafs.FileSystem.from_uri(uri)
    except (ValueError, NotImplementedError, OSError) as error:
        said = f"expected a local path or a URI that pyarrow opens (s3://, gs://, …): {error}"
        raise UserError(without_credentials(f"{shown_address(uri)}: {said}")) from error
    return filesystem, prefix.rstrip("/")


def is_store(address: str) -> bool:
    """Whether an address is that of an object store, and no path on this machine."""
    return "://" in address and not address.startswith("file://")


def within(root: str, name: str) -> str:
    """The address of a folder in another; what an address of a store asks for behind its path stays behind it.

    Args:
        root: a local path or a URI.
        name: of the folder.
    """
    place, mark, asked = root.partition("?") if is_store(root) else (root, "", "")
    return f"{place.rstrip('/')}/{name}{mark}{asked}"


def require_store(uri: str) -> None:
    """Refuses an address of S3 or Google's store where nobody listens; a proxy is asked by the client.

    Args:
        uri: as the user gave it.

    Raises:
        UserError: nothing answers within the deadline.
    """
    if not uri.startswith(("s3://", "gs://", "gcs://")) or any(os.environ.get(name) for name in PROXIES):
        return
    try:
        host, port = _endpoint(uri)
    except ValueError:
        return  # the client says what is wrong with it
    trouble = _trouble(host, port)
    if trouble:
        raise UserError(
            f"{shown_address(uri)}: expected an object store that can be reached, found {trouble} at {host}:{port}; "
            "check the network and the address, or name a local folder"
        )


def shown_address(uri: str) -> str:
    """An address as it stands in messages: without credentials and options."""
    return without_credentials(uri.split("?")[0])


def _endpoint(uri: str) -> tuple[str, int]:
    """Host and port that pyarrow's client will ask first."""
    scheme, _, _ = uri.partition("://")
    asked = {name: values[-1] for name, values in parse_qs(urlsplit(uri).query).items()}
    region = asked.get("region", "us-east-1")  # where a bucket's region is asked for
    usual = f"s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
    environment = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if scheme != "s3":
        usual, environment = "storage.googleapis.com", os.environ.get("CLOUD_STORAGE_EMULATOR_ENDPOINT")
    endpoint = asked.get("endpoint_override") or environment or usual
    parts = urlsplit(endpoint if "://" in endpoint else f"{asked.get('scheme', 'https')}://{endpoint}")
    return parts.hostname or "", parts.port or PORTS.get(parts.scheme, 443)


@functools.cache
def _trouble(host: str, port: int) -> str:
    """Asked once in a process: a store that answered may be slow later."""
    return connection_trouble(host, port, SECONDS)
