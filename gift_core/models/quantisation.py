"""4-bit base weights (QLoRA, arXiv 2305.14314), where bitsandbytes knows the device."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from gift_core.errors import ModelError

_FIELD = "model.quantisation"
# What bitsandbytes has kernels for.
_DEVICES = ("cpu", "cuda", "xpu", "hpu")


def four_bits() -> BitsAndBytesConfig:
    """How the layers are quantised; the head stays as it is. Raises `ModelError` where that cannot be done."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(
            "4-bit weights need the package bitsandbytes, which is not installed.",
            field=_FIELD,
            remedy="Install it with pip install 'gift-studio[qlora]', or set model.quantisation to none.",
        )
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    device = accelerator.type if accelerator else "cpu"
    if device not in _DEVICES:
        raise ModelError(
            f"bitsandbytes has no 4-bit weights for the device {device}.",
            field=_FIELD,
            remedy="Set model.quantisation to none, or train on a CUDA device.",
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def stay_differentiable(network: torch.nn.Module) -> None:
    """Keep bitsandbytes from packing weights for inference on the CPU.

    It does so at the first forward pass in evaluation mode, a probe for instance, and no gradient passes through packed
    weights any more: training would go on, and learn nothing right.
    """
    module: Any
    for module in network.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
