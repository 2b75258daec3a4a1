"""The batch that is being denoised: what stands where, and how far each row is. No row knows of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gift_core.models.loading import DiffusionModel
from gift_core.sampling.schedule import Schedule
from gift_core.spec import SamplingSpec


@dataclass(frozen=True)
class Start:
    """The tokens of a response, by position, before the first step of denoising.

    `given` holds the tokens that the user fixed, which count as prompt. `placed` holds the tokens that earlier steps
    committed, when a trace continues from `step`. A position that holds the mask token is open, in either of them.
    """

    given: Mapping[int, int] = field(default_factory=dict)
    placed: Mapping[int, int] = field(default_factory=dict)
    step: int = 0


class Canvas:
    """Prompts followed by their response windows, padded on the right. Arrays are [batch, length] over the response.

    `masked` says which positions are open. The mask token stands at those and at no others.
    """

    def __init__(
        self, model: DiffusionModel, prompts: Sequence[Sequence[int]], sampling: SamplingSpec, starts: Sequence[Start]
    ) -> None:
        device, length = model.device, sampling.length
        self._one_length = len({len(prompt) for prompt in prompts}) == 1
        self.prompt_lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        self.ids = _padded(prompts, int(self.prompt_lengths.max()) + length, model.eos_id).to(device)
        self.window = self.prompt_lengths[:, None] + torch.arange(length, device=device)
        given, placed = (
            _tokens(rows, length, model.mask_id).to(device)
            for rows in ([start.given for start in starts], [start.placed for start in starts])
        )
        self.masked = (given < 0) & (placed < 0)
        self.given = torch.zeros_like(self.ids, dtype=torch.bool).scatter_(1, self.window, given >= 0)
        content = torch.where(given >= 0, given, placed)
        self.ids.scatter_(1, self.window, torch.where(self.masked, model.mask_id, content))
        self._rows = torch.arange(len(prompts), device=device)
        self._block_length = sampling.block_length
        self._block_of = torch.arange(length, device=device) // sampling.block_length
        self._steps_per_block = sampling.steps * sampling.block_length // length
        self.schedule = Schedule.of(sampling, self._per_block(given < 0))
        self.block = self._first_masked_block()
        step = torch.tensor([start.step for start in starts], device=device)
        in_its_block = step // self._steps_per_block == self.block
        self.step = torch.where(in_its_block, step % self._steps_per_block, 0)
        self._skip_idle_steps()

    @property
    def response(self) -> Tensor:
        """Token ids [batch, length]; the mask's where nothing stands yet."""
        return self.ids.gather(1, self.window)

    @property
    def step_number(self) -> Tensor:
        """Of each row, counted over the blocks: what its noise is keyed by, [batch]."""
        return self.block * self._steps_per_block + self.step

    @property
    def open(self) -> Tensor:
        """The masked positions of each row's own block."""
        return self.masked & (self._block_of == self.block[:, None])

    @property
    def due(self) -> Tensor:
        """How many open positions each row commits in this step at least, [batch]; in a block's last step all."""
        counts = self.schedule.counts[self._rows, self.block, self.step]
        return torch.where(self.step == self.schedule.last_step, self.masked.shape[1], counts)

    def width(self, rows: Tensor) -> int:
        """Up to where the longest of `rows` reaches."""
        if self._one_length:
            return self.ids.shape[1]
        return int(self.prompt_lengths[rows].max()) + self.masked.shape[1]

    def attention_mask(self, rows: Tensor, width: int) -> Tensor | None:
        """1 where a token of `rows` is, 0 where padding, [rows, width]; None where no row is padded."""
        if self._one_length:
            return None
        ends = self.prompt_lengths[rows] + self.masked.shape[1]
        inside = torch.arange(width, device=rows.device) < ends[:, None]
        return None if inside.all() else inside.long()

    def commit(self, rows: Tensor, committed: Tensor, tokens: Tensor) -> None:
        """Write `tokens` where `committed`, [rows, length], and take those rows to their next step."""
        self.ids[rows] = self.ids[rows].scatter(
            1, self.window[rows], torch.where(committed, tokens, self.response[rows])
        )
        self.masked[rows] &= ~committed
        self.go_on(rows)

    def go_on(self, rows: Tensor) -> None:
        """Take `rows` to their next step: of the next block, where theirs is full."""
        before = self.block.clone()
        self.block = self._first_masked_block()
        self.step[rows] = (self.step[rows] + 1).clamp(max=self.schedule.last_step)
        self.step = torch.where(self.block == before, self.step, 0)
        self._skip_idle_steps()

    def spread(self, rows: Tensor, values: Tensor) -> Tensor:
        """`values` of `rows` among those of the whole batch; 0 or False for the others."""
        if len(rows) == len(self.block):
            return values
        whole = values.new_zeros(len(self.block), *values.shape[1:])
        whole[rows] = values
        return whole

    def _skip_idle_steps(self) -> None:
        self.step = self.schedule.following[self._rows, self.block, self.step]

    def _first_masked_block(self) -> Tensor:
        """[batch]; 0 for a row without any."""
        return (self._per_block(self.masked) > 0).int().argmax(1)

    def _per_block(self, positions: Tensor) -> Tensor:
        return positions.view(len(positions), -1, self._block_length).sum(-1)


def _padded(prompts: Sequence[Sequence[int]], width: int, filler: int) -> Tensor:
    return torch.tensor([[*prompt, *[filler] * (width - len(prompt))] for prompt in prompts])


def _tokens(rows: Sequence[Mapping[int, int]], length: int, mask_id: int) -> Tensor:
    """[batch, length] of the tokens at the positions of each row; -1 elsewhere, and where the mask token is."""
    tokens = torch.tensor([[row.get(position, -1) for position in range(length)] for row in rows])
    return tokens.masked_fill(tokens == mask_id, -1)
