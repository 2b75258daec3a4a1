"""LoRA adapters on disk, as a run saves them: a config and safetensors. Never a pickle, and never the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from gift_core.errors import ModelError
from gift_core.models.folder.adapter import read_adapter
from gift_core.models.folder.documents import read_document
from gift_core.out_of_memory import is_out_of_memory

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_KIND = "LORA"


def is_adapter(directory: Path) -> bool:
    return (directory / ADAPTER_CONFIG).exists()


def base_of(directory: Path) -> str:
    """The base that an adapter names: owner/name@revision, as a run writes it, or in peft's two fields.

    Raises `ModelError`.
    """
    config = _config(directory)
    name, revision = config["base_model_name_or_path"], config.get("revision")
    return f"{name}@{revision}" if revision else name


def lora_of(directory: Path) -> tuple[int, float, float]:
    """Rank, alpha and dropout of an adapter; raises `ModelError`."""
    config = _config(directory)
    return config.get("r", 0), config.get("lora_alpha", 0.0), config.get("lora_dropout", 0.0)


def merged(base: PreTrainedModel, directory: Path) -> PreTrainedModel:
    """`base` with the adapter added to its weights; raises `ModelError` where the adapter is of another base."""
    with _explained(directory):
        return _adapted(base, directory).merge_and_unload()


def trainable(base: PreTrainedModel, directory: Path) -> PeftModel:
    """`base` frozen, with the adapter as something to be trained further; raises what `merged` does."""
    with _explained(directory):
        return _adapted(base, directory, is_trainable=True)


def _adapted(base: PreTrainedModel, directory: Path, *, is_trainable: bool = False) -> PeftModel:
    # Looking at a config, or asking for help, is not to wait for these.
    from peft import PeftModel, get_peft_model_state_dict

    config = _config(directory)
    # Without this file peft would look for a pickle, and then on the Hub.
    if not (directory / ADAPTER_WEIGHTS).exists():
        raise _unusable(directory, f"there is no {ADAPTER_WEIGHTS}")
    lora = read_adapter(config, directory / ADAPTER_WEIGHTS)
    adapted = PeftModel.from_pretrained(base, str(directory), is_trainable=is_trainable, config=lora)
    with safe_open(directory / ADAPTER_WEIGHTS, "pt") as file:
        stored = set(file.keys())
    # peft only warns of these, and leaves out what it does not find.
    wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    if wrong := [f"missing {key}" for key in sorted(wanted - stored)] + [
        f"unexpected {key}" for key in sorted(stored - wanted)
    ]:
        raise ValueError(f"its weights do not fit: {', '.join(wrong[:6])}")
    return adapted


@contextmanager
def _explained(directory: Path) -> Iterator[None]:
    """Whatever goes wrong inside is an error of the adapter in `directory`."""
    try:
        yield
    except ModelError:
        raise
    # peft trusts its config: what is wrong in one may fail anywhere, with any exception.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise _unusable(directory, " ".join(str(error).split())[:300].rstrip(".")) from error


def _config(directory: Path) -> dict[str, Any]:
    try:
        config = read_document(directory / ADAPTER_CONFIG)
    except ModelError as error:
        raise _unusable(directory, error.problems[0].message.rstrip(".")) from error
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base.strip():
        raise _unusable(directory, f"{ADAPTER_CONFIG} does not name a base in base_model_name_or_path")
    if config.get("peft_type") != _KIND:
        raise _unusable(directory, f"it is a {config.get('peft_type')} adapter")
    return config


def _unusable(directory: Path, why: str) -> ModelError:
    return ModelError(
        f"The adapter in {directory.name} cannot be used: {why}.",
        field="model.name",
        remedy=f"The folder must hold {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS} of a LoRA adapter, whole, and made on the "
        "base that it names.",
    )
