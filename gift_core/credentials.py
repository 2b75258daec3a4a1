"""Secrets. They come from the environment and from nowhere else, and are handed on as arguments only."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from gift_core.errors import UploadError

HUB_TOKEN = "HF_TOKEN"  # noqa: S105 - the variable's name


class Credentials(BaseSettings):
    """What is read from the environment; a secret shows as stars wherever it is printed."""

    model_config = SettingsConfigDict(frozen=True)

    hf_token: SecretStr = SecretStr("")


def hub_token() -> str:
    """The Hub's token for writing, from `HF_TOKEN`; raises `UploadError` where it is not set.

    `huggingface_hub.get_token` would also take the one that a login left in a file, for whoever uses this account: a
    program that uploads in somebody's name should be told so for the occasion.
    """
    token = Credentials().hf_token.get_secret_value().strip()
    if not token:
        raise UploadError(
            f"There is no token to upload with: {HUB_TOKEN} is not set in the environment.",
            field=HUB_TOKEN,
            remedy="Make a token with the role write on huggingface.co/settings/tokens and set the variable; "
            "--dry-run needs none.",
        )
    return token
