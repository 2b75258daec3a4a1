"""What the models of one family have in common: how they are recognised, loaded, spoken to and adapted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import AutoTokenizer, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from gift_core.errors import ModelError
from gift_core.models.families.layout import Config, PublishedLayout
from gift_core.spec import LoraTargets, SamplingSpec

# Under these names a config in transformers' own terms remembers where its weights came from.
FAMILY_KEY, PUBLISHED_KEY = "diffusion_family", "published_config"


@dataclass(frozen=True)
class Special:
    """A special token by its text, and the id it has in the published vocabulary."""

    token: str
    id: int


@dataclass(frozen=True)
class SpecialTokens:
    mask: Special
    eos: Special
    end_of_turn: Special


@dataclass(frozen=True)
class Family:
    """A family of masked diffusion models.

    `claims` tells the family's configs from others; `published` is the layout of the authors' own code, where that is
    not transformers'. `adapt` completes a config that is in transformers' terms already, and raises `ModelError` where
    it asks for what is not supported. `tokens` are the ids that hold where a checkpoint names none. `chat_template` is
    used where the tokenizer has none, or always with `replaces_template`. `unread` are patterns of weights that belong
    to heads no one reads here. `reserved_positions` counts what is left unused of a model's positions, and
    `longest_context` is what its authors document, where their config says more. With `checks_head`, what architecture
    there is decides about the output projection, and it is looked at on loading.
    """

    name: str
    title: str
    network: Any
    lora: Mapping[LoraTargets, str | tuple[str, ...]]
    sampling: SamplingSpec
    chat_template: str
    claims: Callable[[Config], bool]
    adapt: Callable[[Config], dict[str, Any]] = dict
    published: PublishedLayout | None = None
    tokenizer: Any = AutoTokenizer
    tokens: SpecialTokens | None = None
    replaces_template: bool = False
    logit_shift: int = 0
    unread: tuple[str, ...] = ()
    reserved_positions: Callable[[PreTrainedConfig], int] = lambda _: 0
    longest_context: int | None = None
    checks_head: bool = False

    def layout_of(self, config: Config) -> PublishedLayout | None:
        """The published layout, where `config` is in it."""
        published = self.published
        return published if published and config.get("model_type") == published.model_type else None

    def native_config(self, config: Config) -> PreTrainedConfig:
        """The config of the native network; raises `ModelError` that names a field which cannot be mapped."""
        layout = self.layout_of(config)
        if layout:
            memory = {FAMILY_KEY: self.name, PUBLISHED_KEY: dict(config), "logit_shift": self.logit_shift}
            values, native_type = layout.native_values(config) | {"is_causal": False} | memory, layout.native_type
        else:
            values = self.adapt(config)
            native_type = values["model_type"]
        # Whoever loads what is saved from this shall not be sent to remote code either.
        return CONFIG_MAPPING[native_type].from_dict({key: values[key] for key in values if key != "auto_map"})

    def context_length(self, config: PreTrainedConfig) -> int:
        """How many tokens a model with this native config attends to; raises `ModelError`."""
        positions = getattr(config, "max_position_embeddings", None)
        if not isinstance(positions, int):
            raise ModelError(
                f"The config of this {config.model_type} model does not say how many positions it has.",
                field="model.name",
                remedy="Add max_position_embeddings to its config.json.",
            )
        usable = positions - self.reserved_positions(config)
        return usable if self.longest_context is None else min(usable, self.longest_context)
