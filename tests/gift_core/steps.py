"""One optimiser step, looked at from inside: its loss and its gradients. Also run by torchrun, in several processes."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from gift_core.run import frozen_rates, prepare
from gift_core.spec import RunSpec
from gift_core.training import GiftTrainer

Gradients = dict[str, Tensor]


class Look(TrainerCallback):
    """Keeps the gradients of every step, before clipping has touched weights."""

    def __init__(self) -> None:
        self.gradients: list[Gradients] = []
        self.losses: list[float] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        found = {}
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                gradient = parameter.grad
                gradient = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
                found[name.removeprefix("module.")] = gradient.detach().clone()
        self.gradients.append(found)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])


def trained(spec: RunSpec, directory: Path) -> tuple[GiftTrainer, Look]:
    """A run without its report and its checkpoints; nothing is clipped."""
    spec = spec.replace({"training.max_grad_norm": 1e9})
    prepared = prepare(spec, Path)
    cache = frozen_rates(spec, prepared, directory / "rates")
    trainer = prepared.trainer(spec, directory, cache)
    look = Look()
    trainer.add_callback(look)
    trainer.args.save_strategy = "no"
    trainer.train()
    return trainer, look


def first_step(spec: RunSpec, directory: Path) -> tuple[float, Gradients]:
    """Loss and gradients of the first step."""
    _, look = trained(spec, directory)
    return look.losses[0], look.gradients[0]


def assert_same(one: tuple[float, Gradients], other: tuple[float, Gradients], tolerance: float = 1e-5) -> None:
    """Equal losses, and for each weight gradients that differ by at most `tolerance` of their norm."""
    assert math.isclose(one[0], other[0], rel_tol=tolerance), (one[0], other[0])
    assert one[1].keys() == other[1].keys()
    assert one[1]
    for name, gradient in one[1].items():
        difference = float((other[1][name] - gradient).norm())
        assert difference <= tolerance * float(gradient.norm()), f"{name}: {difference} of {float(gradient.norm())}"


def read(directory: Path) -> tuple[list[float], Gradients]:
    """What `main` wrote: all losses, and the gradients of the first step."""
    return json.loads((directory / "losses.json").read_text()), load_file(directory / "gradients.safetensors")


def _on_the_cpu_with_fsdp() -> None:
    """accelerate offers FSDP for accelerators only. What it does needs none: gloo can gather and scatter, too."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    torch.distributed.init_process_group("gloo")
    PartialState._prepare_backend = lambda self, *_, **__: ("gloo", DistributedType.MULTI_GPU)
    PartialState.set_device = lambda self: setattr(self, "device", torch.device("cpu"))


def main() -> None:
    torch.set_num_threads(1)
    if os.environ.get("ACCELERATE_USE_FSDP"):
        _on_the_cpu_with_fsdp()
    directory = Path(sys.argv[1])
    trainer, look = trained(RunSpec.from_yaml(directory / "spec.yaml"), directory)
    if trainer.is_world_process_zero():
        save_file(look.gradients[0], directory / "gradients.safetensors")
        (directory / "losses.json").write_text(json.dumps(look.losses))
        (directory / "kind.txt").write_text(f"{trainer.args.world_size} {trainer.is_fsdp_enabled}")
    # All is written. Torch's own threads now and then abort a process that takes itself apart: it just leaves.
    torch.distributed.barrier()
    os._exit(0)


if __name__ == "__main__":
    main()
