"""The denoiser: fill a masked response step by step, most confident positions first.

Sources: the samplers of LLaDA (arXiv 2502.09992) and Dream (arXiv 2508.15487); parallel decoding by a confidence
threshold and cached prefixes after Fast-dLLM (arXiv 2505.22618); the entropy bound after EB-Sampler (arXiv 2505.24857).
"""

from gift_core.sampling.canvas import Start
from gift_core.sampling.denoiser import Denoised, Step, denoise, denoise_all, denoise_steps, end_of, text_of
from gift_core.sampling.prediction import Predictions
from gift_core.sampling.schedule import commit_counts

__all__ = [
    "Denoised",
    "Predictions",
    "Start",
    "Step",
    "commit_counts",
    "denoise",
    "denoise_all",
    "denoise_steps",
    "end_of",
    "text_of",
]
