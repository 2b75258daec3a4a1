"""Base models and checkpoints, loaded natively: no remote code, no pickled weights."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from gift_core.errors import ModelError
from gift_core.models.adapter_files import ADAPTER_CONFIG, base_of, is_adapter, merged
from gift_core.models.architecture import Architecture
from gift_core.models.catalogue import find_model
from gift_core.models.families.bidirectional import BIDIRECTIONAL
from gift_core.models.families.family import Family
from gift_core.models.families.layout import Config
from gift_core.models.families.registry import family_of
from gift_core.models.folder.capacity import check_capacity
from gift_core.models.folder.config import checked_config
from gift_core.models.folder.documents import GENERATION, check_documents, read_document, unusable
from gift_core.models.forward import check_head
from gift_core.models.quantisation import four_bits, stay_differentiable
from gift_core.models.special_tokens import end_of_turn_id, read_tokenizer, with_date_of
from gift_core.models.weight_files import CONFIG, missing_files, weight_files
from gift_core.out_of_memory import is_out_of_memory
from gift_core.reporting import CHECKPOINT
from gift_core.spec import Quantisation, WeightDtype

# Over all GPUs of the machine, or the only one, or the CPU: for looking at a model. Training keeps to one device.
EVERYWHERE = "auto"
_DTYPES: dict[WeightDtype, torch.dtype | str] = {"auto": "auto", "bf16": torch.bfloat16, "fp32": torch.float32}


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
    family: Family = BIDIRECTIONAL

    @property
    def device(self) -> torch.device:
        return self.network.device

    @property
    def vocabulary_size(self) -> int:
        return int(self.network.config.vocab_size)

    @property
    def context_length(self) -> int:
        return self.family.context_length(self.network.config)


def load_base(
    name: str,
    device: str | torch.device = "cpu",
    *,
    quantisation: Quantisation = "none",
    dtype: WeightDtype = "auto",
) -> DiffusionModel:
    """Load a base model by name or from a local folder, its layers in 4 bits with `nf4`; raises `ModelError`.

    `dtype` auto keeps the weights as they were published; `device` may be `EVERYWHERE`.
    """
    return _load(find_model(name, local_folders=True), device, quantisation, dtype)


def load_checkpoint(directory: Path, device: str | torch.device = "cpu") -> DiffusionModel:
    """Load what a run saved: full weights, or a LoRA adapter merged onto its base; raises `ModelError`."""
    if not is_adapter(directory):
        return _load(directory, device)
    base = load_base(base_of(directory), device)
    tokenizer = with_date_of(base.tokenizer, directory)
    return replace(base, network=merged(base.network, directory).eval(), tokenizer=tokenizer)


def open_checkpoint(name: str, device: str | torch.device = "cpu") -> DiffusionModel:
    """A base model by name, or the folder of a run or of its checkpoint: for the command line only."""
    directory = Path(name)
    for folder in (directory / CHECKPOINT, directory):
        if is_adapter(folder) or (folder / CONFIG).exists():
            return load_checkpoint(folder, device)
    return load_base(name, device)


def load_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a base model; raises `ModelError`."""
    return _Source.at(find_model(name, local_folders=True)).tokenizer()


def context_length(name: str) -> int:
    """How many tokens a base model can attend to; reads its config only."""
    source = _Source.at(find_model(name, local_folders=True))
    return source.family.context_length(source.native)


def architecture(name: str) -> Architecture:
    """The sizes of a base model of the catalogue or a local folder; reads its config only. Raises `ModelError`."""
    return Architecture.of(_Source.at(find_model(name, local_folders=True)).native)


def read_config(directory: Path) -> dict[str, Any]:
    """Return a checkpoint's config.json without the fields that a file may not choose. Raises `ModelError`."""
    if not (directory / CONFIG).exists():
        raise _unreadable(directory, f"there is no {CONFIG}")
    return checked_config(read_document(directory / CONFIG), directory.name)


@dataclass(frozen=True)
class _Source:
    """A folder with a checkpoint, its config as it stands there and in transformers' terms, and the family it is of."""

    directory: Path
    config: Config
    family: Family
    native: PreTrainedConfig

    @classmethod
    def at(cls, directory: Path) -> _Source:
        check_documents(directory)
        config = read_config(directory)
        return cls.of(directory, config, family_of(config, directory.name))

    @classmethod
    def of(cls, directory: Path, config: Config, family: Family) -> _Source:
        """The checkpoint of a known family; raises `ModelError` where its config describes no model."""
        try:
            return cls(directory, config, family, family.native_config(config))
        except ModelError:
            raise
        # transformers trusts a config: what is wrong in one may fail anywhere, with any exception.
        except Exception as error:
            raise ModelError(
                f"config.json of {directory.name} does not describe a model: {_in_one_line(error)}.",
                field="model.name",
                remedy="Correct the field, or fetch the file again.",
            ) from error

    def tokenizer(self) -> PreTrainedTokenizerFast:
        return read_tokenizer(self.directory, self.family, self.config)


def _load(
    directory: Path, device: str | torch.device, quantisation: Quantisation = "none", dtype: WeightDtype = "auto"
) -> DiffusionModel:
    if is_adapter(directory):
        raise ModelError(
            f"{directory.name} holds a LoRA adapter, and not all weights.",
            field="model.name",
            remedy=f"Name the base that {ADAPTER_CONFIG} names; where the weights beside it are meant, take it away.",
        )
    source = _Source.at(directory)
    # Before the weights: what is wrong with them takes longer to find.
    tokenizer = source.tokenizer()
    quantised = four_bits() if quantisation == "nf4" else None
    network = _network(source, device, quantised, dtype)
    return DiffusionModel(
        network,
        tokenizer,
        tokenizer.mask_token_id,
        tokenizer.eos_token_id,
        end_of_turn_id(tokenizer),
        logit_shift=getattr(network.config, "logit_shift", source.family.logit_shift),
        family=source.family,
    )


def load_network(directory: Path, config: Config, family: Family) -> PreTrainedModel:
    """The network of `family` with this config and the weights in `directory`, as they are; raises `ModelError`."""
    return _network(_Source.of(directory, config, family), "cpu", None, "auto")


def _network(
    source: _Source, device: str | torch.device, quantisation: BitsAndBytesConfig | None, dtype: WeightDtype
) -> PreTrainedModel:
    # A bar for each file that is opened drowns the log and the command line's own progress; what is wrong with the
    # weights is said below.
    disable_progress_bar()
    set_verbosity_error()
    layout = source.family.layout_of(source.config)
    everywhere = device == EVERYWHERE and torch.accelerator.is_available()
    _check_before(source)
    try:
        network, report = source.family.network.from_pretrained(
            str(source.directory),
            config=source.native,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            # What does not fit is listed below, with what else is wrong.
            ignore_mismatched_sizes=True,
            dtype=_DTYPES[dtype],
            quantization_config=quantisation,
            device_map="auto" if everywhere else None,
            key_mapping=layout.renames() if layout else None,
        )
    except ModelError:
        raise
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise _too_large(source.directory) from error
        raise _unreadable(source.directory, error) from error
    # transformers trusts what is in a folder: what is wrong there may fail anywhere, with any exception.
    except Exception as error:
        raise _unreadable(source.directory, error) from error
    _check_weights(source, report)
    if source.family.checks_head:
        check_head(network, source.directory.name)
    if quantisation:
        stay_differentiable(network)
    network.eval()
    return network if device == EVERYWHERE else network.to(device)


def _check_before(source: _Source) -> None:
    """Raise `ModelError` for what is wrong with the weights and can be seen without loading them."""
    directory = source.directory
    try:
        weight_files(directory)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The weights in {directory.name} cannot be read: {_in_one_line(error)}.",
            field="model.name",
            remedy="Fetch the index again.",
        ) from error
    if (directory / GENERATION).exists():
        try:
            GenerationConfig.from_dict(read_document(directory / GENERATION))
        except (TypeError, ValueError, AttributeError) as error:
            raise unusable(directory / GENERATION, _in_one_line(error)) from error
    check_capacity(directory, lambda: source.family.network.from_config(source.native))


def _check_weights(source: _Source, report: dict[str, Any]) -> None:
    """Raise `ModelError` that lists what is wrong with the weights, by the names that they have on disk."""
    layout, unread = source.family.layout_of(source.config), source.family.unread
    misshapen = [key if isinstance(key, str) else key[0] for key in report["mismatched_keys"]]
    unexpected = [key for key in report["unexpected_keys"] if not any(re.search(each, key) for each in unread)]
    wrong = {"missing": report["missing_keys"], "unexpected": unexpected, "of another shape": misshapen}
    found = [
        f"{what} {name}"
        for what, keys in wrong.items()
        for name in sorted(layout.published_key(key) if layout else key for key in keys)
    ]
    if found:
        raise ModelError(
            f"The weights in {source.directory.name} do not fit its config: {', '.join(found)}.", field="model.name"
        )


def _unreadable(directory: Path, why: object) -> ModelError:
    missing = missing_files(directory)
    return ModelError(
        f"The weights in {directory.name} cannot be read: "
        + (f"there is no {', '.join(missing)}." if missing else f"{_in_one_line(why)}."),
        field="model.name",
        remedy="The folder must hold config.json and model.safetensors, or its shards and their index, all of them "
        "whole: what was cut short has to be fetched again.",
    )


def _too_large(directory: Path) -> ModelError:
    return ModelError(
        f"{directory.name} does not fit into the memory that is free.",
        field="model.name",
        remedy="Choose a smaller model, or set model.dtype to bf16, or model.quantisation to nf4.",
    )


def _in_one_line(said: object) -> str:
    return " ".join(str(said).split()).rstrip(".")
