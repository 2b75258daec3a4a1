"""Base models and checkpoints, loaded natively: no remote code, no pickled weights."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar

from gift_core.errors import ModelError
from gift_core.models.catalogue import find_model
from gift_core.models.quantisation import four_bits, stay_differentiable
from gift_core.reporting import CHECKPOINT
from gift_core.spec import Quantisation

ADAPTER_CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class DiffusionModel:
    """A masked diffusion language model with the ids that the method needs.

    `logit_shift` is 1 where position i is read from logits[i-1] (Dream, and conversions of causal models), else 0.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    mask_id: int
    eos_id: int
    end_of_turn_id: int
    logit_shift: int = 0

    @property
    def device(self) -> torch.device:
        return self.network.device

    @property
    def vocabulary_size(self) -> int:
        return int(self.network.config.vocab_size)

    @property
    def context_length(self) -> int:
        return int(self.network.config.max_position_embeddings)


def load_base(name: str, device: str | torch.device = "cpu", *, quantisation: Quantisation = "none") -> DiffusionModel:
    """Load a base model of the catalogue or a local folder, its layers in 4 bits with `nf4`; raises `ModelError`."""
    return _load(find_model(name, local_folders=True), device, quantisation)


def load_checkpoint(directory: Path, device: str | torch.device = "cpu") -> DiffusionModel:
    """Load what a run saved: full weights, or a LoRA adapter merged onto its base; raises `ModelError`."""
    adapter = directory / ADAPTER_CONFIG
    if not adapter.exists():
        return _load(directory, device)
    from peft import PeftModel

    base = load_base(json.loads(adapter.read_text("utf-8"))["base_model_name_or_path"], device)
    network = PeftModel.from_pretrained(base.network, str(directory)).merge_and_unload()
    return replace(base, network=network.eval())


def open_checkpoint(name: str) -> DiffusionModel:
    """A base model by name, or the folder of a run or of its checkpoint: for the command line only."""
    directory = Path(name)
    for folder in (directory / CHECKPOINT, directory):
        if (folder / ADAPTER_CONFIG).exists() or (folder / "config.json").exists():
            return load_checkpoint(folder)
    return load_base(name)


def load_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a base model; raises `ModelError`."""
    return _tokenizer(find_model(name, local_folders=True))


def context_length(name: str) -> int:
    """How many tokens a base model can attend to; reads its config only."""
    return int(AutoConfig.from_pretrained(str(find_model(name, local_folders=True))).max_position_embeddings)


def _tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    try:
        return AutoTokenizer.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"No tokenizer can be read from {directory.name}: {error}",
            field="model.name",
            remedy="The folder must hold tokenizer.json and tokenizer_config.json.",
        ) from error


def _load(directory: Path, device: str | torch.device, quantisation: Quantisation = "none") -> DiffusionModel:
    tokenizer = _tokenizer(directory)
    network = _network(directory, four_bits() if quantisation == "nf4" else None).to(device)
    if getattr(network.config, "is_causal", True):
        raise ModelError(
            f"{directory.name} is a causal language model: its attention cannot see the tokens to the right.",
            field="model.name",
            remedy='Choose a masked diffusion model (its config.json says "is_causal": false).',
        )
    if tokenizer.mask_token_id is None or tokenizer.eos_token_id is None:
        raise ModelError(
            f"{directory.name} has no mask or EOS token.",
            field="model.name",
            remedy="Choose a masked diffusion model; its tokenizer names a mask_token and an eos_token.",
        )
    return DiffusionModel(
        network,
        tokenizer,
        tokenizer.mask_token_id,
        tokenizer.eos_token_id,
        end_of_turn_id(tokenizer),
        logit_shift=getattr(network.config, "logit_shift", 0),
    )


def end_of_turn_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """The token that ends an answer; EOS where the tokenizer has no token of its own for it."""
    named: Any = getattr(tokenizer, "eot_token", None)
    return int(tokenizer.convert_tokens_to_ids(named)) if named else int(tokenizer.eos_token_id)


def _network(directory: Path, quantisation: BitsAndBytesConfig | None) -> PreTrainedModel:
    # A bar for each file that is opened drowns the log and the command line's own progress.
    disable_progress_bar()
    try:
        network, report = AutoModelForCausalLM.from_pretrained(
            str(directory),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
            quantization_config=quantisation,
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"The weights in {directory.name} cannot be read: {error}",
            field="model.name",
            remedy="The folder must hold config.json and model.safetensors.",
        ) from error
    wrong = [f"missing {key}" for key in sorted(report["missing_keys"])]
    wrong += [f"unexpected {key}" for key in sorted(report["unexpected_keys"])]
    if wrong:
        raise ModelError(
            f"The weights in {directory.name} do not fit its config: {', '.join(wrong)}.", field="model.name"
        )
    if quantisation:
        stay_differentiable(network)
    return network.eval()
