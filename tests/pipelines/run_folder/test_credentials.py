"""Secrets in an address of a store are shown nowhere."""

from __future__ import annotations

import sys

import pytest

from pipelines.cli import app
from pipelines.errors import UserError
from pipelines.run_folder.stage_folder import stage_storage
from pipelines.run_folder.storage import Storage
from tests.pipelines.jobs import tinyaug

ADDRESS = "s3://KEY:s3cr3t@bucket/run?endpoint_override=localhost:9"
COMMAND = ["augment", "--task", "sst2", "--overwrite", "--out", ADDRESS, f"--data={ADDRESS}", "--protect", "/a@b?/"]


def test_the_command_that_goes_on(monkeypatch):
    def stopped(**_: object) -> None:
        raise app.Stopped(2)

    monkeypatch.setattr(app, "app", stopped)
    ran = tinyaug(*COMMAND)
    assert ran.code == 130
    assert "s3cr3t" not in ran.err
    assert "KEY" not in ran.err
    address = "s3://bucket/run?endpoint_override=localhost:9"
    assert f"To go on (with the credentials in its addresses): tinyaug augment --task sst2 --out '{address}'" in ran.err
    assert f"'--data={address}' --protect '/a@b?/'" in ran.err


def test_a_command_without_secrets_is_shown_as_it_is(monkeypatch):
    def stopped(**_: object) -> None:
        raise app.Stopped(15)

    monkeypatch.setattr(app, "app", stopped)
    ran = tinyaug("augment", "--task", "sst2", "--out", "runs/my run")
    assert ran.code == 143
    assert ran.err.endswith("To go on: tinyaug augment --task sst2 --out 'runs/my run'\n")
    assert sys.argv[0] != "tinyaug"


def test_a_stage_that_must_be_local():
    with pytest.raises(UserError, match="--out s3://bucket/run: expected a local folder") as caught:
        stage_storage(ADDRESS, "a model")
    assert "s3cr3t" not in str(caught.value)


def test_an_address_that_cannot_be_opened():
    with pytest.raises(UserError, match="expected a local path or a URI") as caught:
        Storage("nowhere://KEY:s3cr3t@bucket/run")
    assert "s3cr3t" not in str(caught.value)
