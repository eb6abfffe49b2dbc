"""Object stores that cannot be reached are refused within seconds."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace

import pyarrow.fs as pafs
import pytest

from pipelines.errors import UserError
from pipelines.run_folder import address as store_address
from pipelines.run_folder.address import PROXIES, require_store
from pipelines.run_folder.storage import Storage


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No proxy and no endpoint but the address's own, and nothing remembered."""
    for name in (*PROXIES, "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "CLOUD_STORAGE_EMULATOR_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    store_address._trouble.cache_clear()


@pytest.fixture
def asked(monkeypatch):
    """Hosts and ports that were asked; none of them answers."""
    found: list[tuple[str, int]] = []
    monkeypatch.setattr(store_address, "connection_trouble", lambda *asked: found.append(asked[:2]) or "no answer")
    return found


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        ("s3://bucket/run", ("s3.us-east-1.amazonaws.com", 443)),
        ("s3://bucket/run?region=eu-west-1", ("s3.eu-west-1.amazonaws.com", 443)),
        ("s3://bucket/run?region=cn-north-1", ("s3.cn-north-1.amazonaws.com.cn", 443)),
        ("s3://key:secret@bucket/run?endpoint_override=store:9000&scheme=http", ("store", 9000)),
        ("s3://bucket/run?endpoint_override=http%3A%2F%2Fstore", ("store", 80)),
        ("gs://bucket/run", ("storage.googleapis.com", 443)),
    ],
)
def test_the_endpoint_that_is_asked(asked, uri, endpoint):
    with pytest.raises(UserError, match=r"(s3|gs)://bucket/run: expected an object store") as error:
        require_store(uri)
    assert asked == [endpoint]
    assert "secret" not in str(error.value)


def test_the_environment_s_endpoint_and_proxy(asked, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store.invalid:9000")
    with pytest.raises(UserError, match=r"no answer at store\.invalid:9000; check the network"):
        require_store("s3://bucket/run")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:8080")
    require_store("s3://bucket/run")
    assert asked == [("store.invalid", 9000)]


def test_nobody_listens(monkeypatch):
    client = SimpleNamespace(from_uri=lambda _: pytest.fail("the client was asked"))
    monkeypatch.setattr(pafs, "FileSystem", client)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # bound, but nobody listens
        start = time.monotonic()
        with pytest.raises(UserError, match="expected an object store that can be reached, found Connection refused"):
            Storage(f"s3://bucket/run?endpoint_override=127.0.0.1:{server.getsockname()[1]}&scheme=http")
    assert time.monotonic() - start < 4
    assert store_address.SECONDS <= 3


def test_somebody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        require_store(f"s3://bucket/run?endpoint_override=127.0.0.1:{server.getsockname()[1]}&scheme=http")


def test_other_addresses_are_the_client_s_to_ask(asked):
    require_store("hdfs://host/run")
    assert asked == []
