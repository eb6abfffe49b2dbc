"""A folder as a repository on the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import JobError, UserError
from pipelines.wording import first_line

if TYPE_CHECKING:
    from pathlib import Path


def check_push(name: str) -> None:
    """Refuses a repository that cannot be one, or a user who is not logged in, before anything is made.

    Raises:
        UserError: naming --push-to.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(f"--push-to {name}: expected a name such as user/model, found: {first_line(error)}") from error
    if constants.HF_HUB_OFFLINE:
        raise UserError(f"--push-to {name}: expected a network, found HF_HUB_OFFLINE set; unset it")
    if get_token() is None:
        raise UserError(
            f"--push-to {name}: expected a token of the hub, found none; log in with `hf auth login`, or set HF_TOKEN"
        )


def push_folder(folder: Path, name: str) -> str:
    """Uploads a folder; a repository that is not there yet is made, and is private.

    Args:
        folder: whole.
        name: of the repository.

    Returns:
        Its address.

    Raises:
        JobError: the hub refused, or did not answer; the folder is kept.
    """
    from huggingface_hub import HfApi

    from augment.files.hub import explain

    try:
        api = HfApi()
        made = api.create_repo(name, private=True, exist_ok=True)
        api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message="Export by tinyaug")
    except Exception as error:  # the hub's client raises many kinds
        raise JobError(
            f"--push-to {name}: the upload failed: {explain(error, asked=True)}. {folder} is whole: upload it with "
            f"`hf upload {name} {folder}`"
        ) from error
    return str(made)
