"""What a step of GIFT costs next to a step of SFT on the same batches, with its probe online and frozen.

The weights are random, so all entropies are nearly equal and GIFT masks as many tokens as SFT. A trained model's
differ, and GIFT then masks a few less: this is its dearer end.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from _common import (
    Shape,
    TrainingStep,
    alternate,
    gsm8k_batches,
    print_heading,
    print_table,
    random_model,
    ratio,
    use_one_thread,
)

from gift_core.data.collation import NoisyExample, collate
from gift_core.probing import FrozenScores, OnlineScores
from gift_core.scores import ScoreCache, fill
from gift_core.spec import ObjectiveSpec

# The last one's head is next to nothing, as LLaDA's is next to its 32 layers.
SHAPES = (Shape(32_000), Shape(126_464), Shape(512))
BATCHES, ROUNDS = 2, 3


def online_bound(shape: Shape, sft: TrainingStep, batches: list[list[NoisyExample]]) -> float:
    """What is unavoidable: a step, one more forward of the body, and the head over all of the response."""
    step = probe = 0
    for items in batches:
        noised = sft.noised(collate(items, sft.model.eos_id))
        body = shape.body(*noised.input_ids.shape)
        # A backward pass has two products for each one of the forward pass.
        step += 3 * (body + shape.head(len(noised.positions)))
        probe += body + shape.head(int(noised.batch.response_mask.sum()))
    return (step + probe) / step


def measure(shape: Shape) -> list[list[str]]:
    """The table's rows of one shape."""
    model = random_model(shape)
    batches = gsm8k_batches(shape.vocabulary, BATCHES)
    sft, gift = ObjectiveSpec(method="sft"), ObjectiveSpec(method="gift")
    with TemporaryDirectory() as directory:
        cache = ScoreCache(Path(directory))
        fill(cache, model, [item.example for items in batches for item in items], len(batches[0]), autocast=True)
        steps = {
            "sft": TrainingStep(model, sft),
            "online": TrainingStep(model, gift, OnlineScores(model, autocast=True)),
            "frozen": TrainingStep(model, gift, FrozenScores(cache)),
        }
        for step in steps.values():
            step(batches[0])
        works = {name: [partial(step, items) for items in batches] for name, step in steps.items()}
        seconds = alternate(works, ROUNDS)
    bound = online_bound(shape, steps["sft"], batches)
    per_step = sum(seconds["sft"]) / (ROUNDS * len(batches))
    online, frozen = (ratio(seconds[name], seconds["sft"]) for name in ("online", "frozen"))
    most = 1.35 if shape.head_share() < 0.1 else 1.1 * bound
    return [
        [str(shape), "online", f"{per_step:.2f}", f"{online:.3f}", f"{bound:.3f}", f"<= {most:.3f}"],
        [str(shape), "frozen", f"{per_step:.2f}", f"{frozen:.3f}", "1.000", "<= 1.050"],
    ]


def main() -> None:
    """Print the table."""
    use_one_thread()
    print_heading("Time of a GIFT step, forward and backward, as a multiple of an SFT step's")
    rows = [row for shape in SHAPES for row in measure(shape)]
    print_table(["vocabulary / body", "probe", "SFT s/step", "GIFT / SFT", "bound", "target"], rows)


if __name__ == "__main__":
    main()
