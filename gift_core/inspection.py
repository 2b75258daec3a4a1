"""What a checkpoint is unsure of: entropy, masking rate, probability and top-k per response token, at the probe."""

from __future__ import annotations

import torch

from gift_core.data.glyphs import tokens_of
from gift_core.data.tokenisation import Encoder
from gift_core.documents import CheckpointInspection, Inspection
from gift_core.errors import SpecError
from gift_core.models.forward import logits_at
from gift_core.models.head import entropy
from gift_core.models.loading import DiffusionModel
from gift_core.objectives import masking_rate, reference_rate, relative_rate
from gift_core.spec import ObjectiveSpec, SamplingSpec
from gift_core.tracing import candidates

TOP_K = 8


def inspect(
    models: list[tuple[str, str, DiffusionModel]],
    prompt: str,
    response: str,
    objective: ObjectiveSpec,
) -> Inspection:
    """Probe each (checkpoint id, label, model) with all of the response masked, its EOS tail included.

    Raises `SpecError` when the text does not fit the context or the response is empty.
    """
    first = models[0][2]
    encoder = Encoder(first.tokenizer)
    prompt_ids = encoder.prompt(prompt)
    response_ids, _ = encoder.response(response, "block", SamplingSpec().block_length)
    if not response.strip():
        raise SpecError("The response is empty.", field="response", remedy="Enter the answer whose tokens to look at.")
    length = len(prompt_ids) + len(response_ids)
    if length > first.context_length:
        raise SpecError(
            f"The text has {length} tokens; the model's context holds {first.context_length}.",
            field="prompt",
            remedy="Shorten the prompt or the response.",
        )
    return Inspection(
        prompt=tokens_of(first.tokenizer, prompt_ids),
        response=tokens_of(first.tokenizer, response_ids),
        vocabulary_size=first.vocabulary_size,
        power=objective.power,
        checkpoints=[
            _inspect_one(model, checkpoint, label, prompt_ids, response_ids, objective)
            for checkpoint, label, model in models
        ],
    )


@torch.inference_mode()
def _inspect_one(
    model: DiffusionModel,
    checkpoint: str,
    label: str,
    prompt_ids: list[int],
    response_ids: list[int],
    objective: ObjectiveSpec,
) -> CheckpointInspection:
    ids = torch.tensor([prompt_ids + [model.mask_id] * len(response_ids)], device=model.device)
    positions = torch.zeros_like(ids, dtype=torch.bool)
    positions[0, len(prompt_ids) :] = True
    logits = logits_at(model.network, ids, None, positions, model.logit_shift).float()
    probabilities = logits.softmax(-1)
    targets = torch.tensor(response_ids, device=model.device)
    truth = probabilities.gather(1, targets[:, None])
    uncertainty = entropy(logits)
    rate = masking_rate(uncertainty, objective.power)
    response = torch.ones_like(rate, dtype=torch.bool)[None]
    reference = reference_rate(rate[None], response, objective.reference)
    relative = relative_rate(rate[None], response, reference)
    return CheckpointInspection(
        checkpoint=checkpoint,
        label=label,
        entropy=uncertainty.tolist(),
        masking_rate=rate.tolist(),
        relative_rate=relative[0].tolist(),
        reference=float(reference),
        probability=truth[:, 0].tolist(),
        rank=(probabilities > truth).sum(1).tolist(),
        top=[candidates(model, row, TOP_K) for row in probabilities],
    )
