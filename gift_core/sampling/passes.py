"""Forward passes over the rows that are still being denoised."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, Cache, DynamicLayer

from gift_core.errors import SpecError
from gift_core.models.forward import read_head
from gift_core.models.loading import DiffusionModel
from gift_core.sampling.canvas import Canvas
from gift_core.sampling.prediction import Predictions, Reader
from gift_core.spec import SamplingSpec


class Pass(Protocol):
    def __call__(self, rows: Tensor, read: Tensor) -> Predictions:
        """Predictions at the True cells of `read` [rows, length], in row-major order; `rows` are indices."""


def passes(model: DiffusionModel, canvas: Canvas, sampling: SamplingSpec, reader: Reader) -> Pass:
    """The kind of pass that `sampling` asks for; raises `SpecError` where the model has no such."""
    if sampling.cache == "none":
        return _WholePass(model, canvas, reader)
    if model.family.network is not AutoModelForCausalLM:
        raise SpecError(
            f"{model.family.title} models keep no keys and values.",
            field="sampling.cache",
            remedy="Set it to none.",
        )
    return _CachedPass(model, canvas, reader)


class _WholePass:
    """Everything is computed anew, prompts included."""

    def __init__(self, model: DiffusionModel, canvas: Canvas, reader: Reader) -> None:
        self._model = model
        self._canvas = canvas
        self._reader = reader

    def __call__(self, rows: Tensor, read: Tensor) -> Predictions:
        canvas, model = self._canvas, self._model
        width = canvas.width(rows)
        ids, mask = canvas.ids[rows, :width], canvas.attention_mask(rows, width)
        in_row, positions = read.nonzero(as_tuple=True)
        row = rows[in_row]
        cells = in_row * width + canvas.window[row, positions]
        if self._reader.sampling.cfg_scale:
            columns = torch.arange(width, device=ids.device)
            prompt = (columns < canvas.prompt_lengths[rows, None]) | canvas.given[rows, :width]
            without_prompt = ids.masked_fill(prompt, model.mask_id)
            ids, mask = torch.cat([ids, without_prompt]), None if mask is None else torch.cat([mask, mask])
        return _read_cells(model, self._reader, ids, mask, cells, canvas.step_number[row], positions)


class _CachedPass:
    """Keys and values of the prompt and of finished blocks are those of the pass that began the row's block.

    Exact they would be only if nothing after them changed: every token of a bidirectional model sees every other.
    """

    def __init__(self, model: DiffusionModel, canvas: Canvas, reader: Reader) -> None:
        self._model = model
        self._canvas = canvas
        self._reader = reader
        self._whole = _WholePass(model, canvas, reader)
        layers = int(model.network.config.num_hidden_layers)
        batch, width = canvas.ids.shape
        self._slots = _Slots(batch, width, layers)
        self._cached_block = torch.full_like(canvas.block, -1)

    def __call__(self, rows: Tensor, read: Tensor) -> Predictions:
        canvas = self._canvas
        begins = self._cached_block[rows] != canvas.block[rows]
        self._cached_block[rows] = canvas.block[rows]
        parts, cells = [], []
        for chosen, run in ((begins, self._fill), (~begins, self._go_on)):
            if chosen.any():
                parts.append(run(rows[chosen], read[chosen]))
                cells.append((read & chosen[:, None]).flatten().nonzero()[:, 0])
        return Predictions.joined(parts).at(torch.cat(cells).argsort())

    def _fill(self, rows: Tensor, read: Tensor) -> Predictions:
        columns = torch.arange(self._canvas.ids.shape[1], device=rows.device).expand(len(rows), -1)
        return self._run(rows, read, columns, torch.zeros_like(rows))

    def _go_on(self, rows: Tensor, read: Tensor) -> Predictions:
        canvas, shift = self._canvas, self._model.logit_shift
        begins = canvas.block[rows] * self._reader.sampling.block_length
        # As many columns for every row as the one with the most left needs.
        columns = canvas.window[rows][:, int(begins.min()) :]
        if shift:
            # Where position i is read from the logits of i-1, that one is needed too.
            columns = torch.cat([columns[:, :1] - shift, columns], 1)
        return self._run(rows, read, columns, canvas.prompt_lengths[rows] + begins - shift)

    def _run(self, rows: Tensor, read: Tensor, columns: Tensor, begins: Tensor) -> Predictions:
        """Compute `columns` [rows, n]; what a row keeps of them begins at its column of `begins`."""
        canvas = self._canvas
        in_row, positions = read.nonzero(as_tuple=True)
        row = rows[in_row]
        cells = in_row * columns.shape[1] + canvas.window[row, positions] - columns[in_row, 0]
        self._slots.use(rows, columns, columns >= begins[:, None])
        return _read_cells(
            self._model,
            self._reader,
            canvas.ids[rows].gather(1, columns),
            canvas.attention_mask(rows, canvas.ids.shape[1]),
            cells,
            canvas.step_number[row],
            positions,
            position_ids=columns,
            past_key_values=self._slots.cache,
            use_cache=True,
        )


def _read_cells(
    model: DiffusionModel,
    reader: Reader,
    ids: Tensor,
    mask: Tensor | None,
    cells: Tensor,
    steps: Tensor,
    positions: Tensor,
    **inputs: object,
) -> Predictions:
    """One forward pass: predictions at `cells`, [n] indices into the flattened `ids`, keyed by `steps` and `positions`.

    `mask` is of the attention. With guidance `ids` are twice as many rows, and the second half has no prompt.
    """
    order = None
    if reader.sampling.temperature > 0:
        # Neighbours share their noise.
        order = (steps * (positions.max() + 1) + positions).argsort(stable=True)
        cells, steps, positions = cells[order], steps[order], positions[order]
    if reader.sampling.cfg_scale:
        cells = torch.cat([cells, cells + ids.numel() // 2])
    read = read_head(
        model.network,
        ids,
        mask,
        cells,
        lambda hidden, head: reader(hidden, head, steps, positions),
        model.logit_shift,
        **inputs,
    )
    # A network that is spread over devices returns its outputs as plain tuples.
    predictions = Predictions(*read)
    return predictions if order is None else predictions.at(order.argsort())


class _Slots:
    """Keys and values by column: a pass writes those of its own columns and attends to all."""

    def __init__(self, batch: int, width: int, layers: int) -> None:
        self.batch, self.width = batch, width
        self.rows = self.columns = self.kept = torch.empty(0, dtype=torch.long)
        self.cache = Cache(layers=[_SlotLayer(self) for _ in range(layers)])

    def use(self, rows: Tensor, columns: Tensor, kept: Tensor) -> None:
        """Say which `rows` [n] and `columns` [n, m] the next pass computes, and which of them it keeps, [n, m]."""
        self.rows, self.columns, self.kept = rows, columns, kept


class _SlotLayer(DynamicLayer):
    def __init__(self, slots: _Slots) -> None:
        super().__init__()
        self._slots = slots

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        slots = self._slots
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            heads, size = key_states.shape[1], key_states.shape[3]
            self.keys = key_states.new_zeros(slots.batch, slots.width, heads, size)
            self.values = torch.zeros_like(self.keys)
        where, kept = (slots.rows[:, None], slots.columns), slots.kept[..., None, None]
        self.keys[where] = torch.where(kept, key_states.transpose(1, 2), self.keys[where])
        self.values[where] = torch.where(kept, value_states.transpose(1, 2), self.values[where])
        return self.keys[slots.rows].transpose(1, 2), self.values[slots.rows].transpose(1, 2)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._slots.width, 0
