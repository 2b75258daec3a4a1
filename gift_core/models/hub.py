"""Models of the Hugging Face Hub: which lie in the local cache, and fetching one when a person asks for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gift_core.errors import ModelError, Problem
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

    @property
    def name(self) -> str:
        """The repository, and the revision after an @ if there is one."""
        return f"{self.repository}@{self.revision}" if self.revision else self.repository

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

    try:
        folder = Path(snapshot_download(name.repository, revision=name.revision, allow_patterns=list(FETCHED)))
    # Errors of the connection come from whichever client the package uses, and share no class of their own.
    except Exception as error:
        refused = refusal(error, name, "model") or Problem(
            f"{name.repository} cannot be downloaded: {first_line(error)}",
            remedy="Check the connection and run the command again: it goes on where it stopped. Or bring the model's "
            "folder here and give its path.",
        )
        raise _failed(refused.message, refused.remedy) from error
    if missing_files(folder):
        raise _failed(
            f"{name.repository} has no weights in safetensors files beside a config.json.",
            "Choose a model with model.safetensors; pickled weights are never loaded.",
        )
    return folder


def refusal(error: Exception, name: HubName, kind: str) -> Problem | None:
    """What the Hub's own answer means for a person who asked for this `kind` of repository; None for other errors."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return Problem(f"{name.repository} is gated.", remedy="Ask for access on its page, then set HF_TOKEN.")
    if isinstance(error, RepositoryNotFoundError):
        return Problem(
            f"The Hub has no {kind} {name.repository}, or it is private.",
            remedy="Check its name, or set HF_TOKEN to a token that may read it.",
        )
    if isinstance(error, RevisionNotFoundError):
        return Problem(f"{name.repository} has no revision {name.revision}.", remedy=f"Check it on the {kind}'s page.")
    return None


def first_line(error: Exception) -> str:
    """The first line of what an error of a library says; its class where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _failed(message: str, remedy: str) -> ModelError:
    return ModelError(message, field="model.name", remedy=remedy)
