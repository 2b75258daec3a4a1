"""Uploading an export to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi

# HTTPError is that of whichever client the package speaks through.
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError  # type: ignore[attr-defined]
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from gift_core.errors import SpecError, UploadError
from gift_core.models.hub import HubName

# What an export of another layout, or in more shards, may have left in the repository: beside this one's files,
# transformers and peft would take them for a part of it.
_WEIGHTS = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "model*.safetensors",
)

# What the Hub's answers mean, and what to do about each.
_CHANGED = ("{repository} was changed by someone else at the same time.", "Run the command again in a moment.")
_REFUSALS = {
    401: ("The Hub does not accept the token.", "Set HF_TOKEN to a valid token that may write."),
    403: (
        "The token may not write to {repository}.",
        "Set HF_TOKEN to a token with the role write, or choose a repository of your own.",
    ),
    404: (
        "The Hub knows no owner or repository of the name {repository}, or the token may not see it.",
        "Check the name before the slash: it is your user name or an organisation's.",
    ),
    409: _CHANGED,
    412: _CHANGED,
}
_OTHER_REFUSAL = ("The Hub answered {status}: {said}.", "Run the command again, or look at the Hub's status page.")
_NO_ANSWER = (
    "The upload did not go through: {said}.",
    "Check the connection (HF_HUB_OFFLINE must not be set) and run the command again; gift export writes the same "
    "files to a folder.",
)


def repository_name(name: str) -> str:
    """`name` if it is owner/name as the Hub has it; raises `SpecError`."""
    parsed = HubName.parse(name)
    try:
        if parsed is None or parsed.revision:
            raise HFValidationError("write owner/name, without a revision")
        validate_repo_id(name)
    except HFValidationError as error:
        raise SpecError(
            f"{name!r} cannot be the name of a repository: {_first_line(str(error))}.",
            field="repository",
            remedy="Write your-name/gift-sudoku.",
        ) from error
    return name


def upload(folder: Path, repository: str, *, private: bool, token: str, endpoint: str | None = None) -> str:
    """Upload the export in `folder` as one commit, creating the repository if need be; returns the commit's address.

    `endpoint` is the Hub's address, that of the environment or the public one when None. Raises `UploadError`, in
    which the token never stands: where the Hub cannot be reached or refuses, or where `private` weights would go into
    a repository that is public already.
    """
    api = HfApi(endpoint=endpoint, token=token)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        if private and not api.model_info(repository).private:
            raise UploadError(
                f"{repository} exists already, and is public.",
                field="repository",
                remedy="Choose another name, make it private on its page, or leave out --private.",
            )
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message="Upload an export of gift-studio",
            delete_patterns=list(_WEIGHTS),
        )
    except (HTTPError, OSError, RuntimeError) as error:
        # Not chained: a server may repeat what was sent to it, and a traceback would show it.
        raise _explained(error, repository, token) from None
    return str(commit.commit_url)


def _explained(error: Exception, repository: str, token: str) -> UploadError:
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    said = _first_line(str(error).replace(token, "…"))
    message, remedy = _REFUSALS.get(status, _OTHER_REFUSAL) if status else _NO_ANSWER
    return UploadError(
        message.format(repository=repository, status=status, said=said), field="repository", remedy=remedy
    )


def _first_line(text: str) -> str:
    return next((line.strip().rstrip(".") for line in text.splitlines() if line.strip()), "no reason was given")
