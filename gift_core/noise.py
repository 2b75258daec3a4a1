"""Common random numbers: draws keyed by what they are for, never by how many were drawn before.

Philox is counter-based: (seed, example) is its key and (stream, epoch) its counter. So SFT, GIFT and every control of
an experiment see the same t and u, a resumed run continues with the numbers it would have had, and neither batch order
nor the number of processes matters.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

# One diffusion time per sequence, uniform on (MINIMUM_TIME, 1).
MINIMUM_TIME = 1e-3
# Half a step of the fp32 uniforms: keeps every draw inside the open interval (0, 1).
_HALF_STEP = np.float32(2**-25)
_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


class Stream(IntEnum):
    """What draws are for; streams never overlap."""

    TRAINING = 0
    ORDER = 1
    EVALUATION = 2
    SAMPLING = 3
    SHUFFLE = 4
    LIKELIHOOD = 5


def generator(stream: Stream, seed: int, item: int, counter: int = 0) -> np.random.Generator:
    """The generator of one item (an example, a position, an epoch) of one stream."""
    return np.random.Generator(np.random.Philox(key=[seed, item], counter=[0, 0, counter, int(stream)]))


def uniforms(random: np.random.Generator, count: int) -> np.ndarray:
    """`count` fp32 uniforms strictly inside (0, 1)."""
    return np.minimum(random.random(count, dtype=np.float32) + _HALF_STEP, _BELOW_ONE)


def training_noise(seed: int, example: int, epoch: int, length: int) -> tuple[float, np.ndarray]:
    """Diffusion time t and uniforms u [length] of one example in one epoch."""
    random = generator(Stream.TRAINING, seed, example, epoch)
    time = MINIMUM_TIME + (1 - MINIMUM_TIME) * float(uniforms(random, 1)[0])
    # t stays below 1 in fp32 too: log1p(-t) must be finite.
    return min(time, float(_BELOW_ONE)), uniforms(random, length)


def evaluation_noise(example: int, time_index: int, length: int) -> np.ndarray:
    """Uniforms u [length] of one held-out example at one time of the fixed grid: the same for every run."""
    return uniforms(generator(Stream.EVALUATION, 0, example, time_index), length)


def response_permutation(seed: int, example: int, length: int) -> np.ndarray:
    """How the `shuffled` control permutes an example's rates. It is the same in every epoch, as the rates' places are
    in GIFT with a frozen probe: only their link to the tokens is lost."""
    return generator(Stream.SHUFFLE, seed, example).permutation(length)
