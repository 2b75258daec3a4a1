"""Models of the Hugging Face Hub: which lie in the local cache, and fetching one when a person asks for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gift_core.errors import ModelError
from gift_core.models.weight_files import missing_files

# Weights without code: nothing else of a repository is fetched, so nothing else can be run.
FETCHED = ("*.safetensors", "*.json", "*.jinja", "*.txt")
_NAME = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class HubName:
    """A repository, and a branch, tag or commit of it."""

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, name: str) -> HubName | None:
        """`owner/name` or `owner/name@revision`; None for anything else."""
        found = _NAME.fullmatch(name)
        return cls(found["repository"], found["revision"]) if found else None

    def pinned(self, snapshot: Path) -> str:
        """The name that always means this snapshot: a snapshot's folder is called after its commit."""
        return f"{self.repository}@{snapshot.name}"


def cached(name: HubName) -> Path | None:
    """The folder of a model that lies whole in the local cache. Asks nobody, and reads a few small files."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = snapshot_download(
            name.repository, revision=name.revision, local_files_only=True, allow_patterns=list(FETCHED)
        )
    except (LocalEntryNotFoundError, ValueError):
        return None
    folder = Path(found)
    return None if missing_files(folder) else folder


def download(name: HubName) -> Path:
    """Fetch a model into the local cache, or what is missing of it, and return its folder, called after its commit.

    Raises `ModelError` where the Hub cannot be reached, has no such model, or wants to know who asks.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        folder = Path(snapshot_download(name.repository, revision=name.revision, allow_patterns=list(FETCHED)))
    except GatedRepoError as error:
        raise _failed(f"{name.repository} is gated.", "Ask for access on its page, then set HF_TOKEN.") from error
    except RepositoryNotFoundError as error:
        raise _failed(
            f"The Hub has no model {name.repository}, or it is private.",
            "Check its name, or set HF_TOKEN to a token that may read it.",
        ) from error
    except RevisionNotFoundError as error:
        raise _failed(f"{name.repository} has no revision {name.revision}.", "Check it on the model's page.") from error
    # Errors of the connection come from whichever client the package uses, and share no class of their own.
    except Exception as error:
        raise _failed(
            f"{name.repository} cannot be downloaded: {str(error).strip().splitlines()[0]}",
            "Check the connection and run the command again: it goes on where it stopped. Or bring the model's folder "
            "here and give its path.",
        ) from error
    if missing_files(folder):
        raise _failed(
            f"{name.repository} has no weights in safetensors files beside a config.json.",
            "Choose a model with model.safetensors; pickled weights are never loaded.",
        )
    return folder


def _failed(message: str, remedy: str) -> ModelError:
    return ModelError(message, field="model.name", remedy=remedy)
