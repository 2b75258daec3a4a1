"""What the launch page says in plain words, for those who have not read the paper."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

INTRODUCTION = """# Fine-tune a masked diffusion language model
SFT masks every token of the answer alike. **GIFT** asks the model first, and masks tokens it is unsure of more often.
Launch both on the same data, in the same order, with the same noise. Watch them train under **Runs**, then compare what
they are unsure of under **Tokens** and how they answer under **Denoise**.
"""

# In the order in which an experiment runs them.
METHODS = (
    ("SFT: all tokens masked alike", "sft"),
    ("GIFT: unsure tokens masked more", "gift"),
)
CONTROLS = (
    ("Shuffled: GIFT's rates, dealt out at random within each answer", "shuffled"),
    ("NLL: improbable tokens masked more, instead of unsure ones", "nll"),
    ("Simple: all tokens masked alike, unsure ones weighing more", "simple"),
    ("CART: all tokens masked alike, those near visible text weighing more", "cart"),
)
WHY_CONTROLS = (
    "A control keeps one part of GIFT and drops another. It tells “entropy matters” from “only the spread of the rates "
    "matters”: where **shuffled** does as well as GIFT, it was the spread."
)

_OBJECTIVE = """
**Weighting**: what a masked token counts. Neither is better in general, and for SFT they are the same.
- **inverse**: 1/tᵢ, the paper's Algorithm
- **elbo**: with the factor that the Algorithm leaves out, so that the loss is a bound on −log p(x)

**Probe**: when the model is asked how unsure it is of each token. SFT and CART do not ask.
- **online**: at every step, as in the paper, for one more forward pass per step
- **frozen**: the starting model only, computed once and kept on disk. The rates do not depend on what is being
  trained, so the theorem applies
- **every_k**: again every few epochs, between the two
"""
_EXAMPLES = """
**End-of-text tail**: the EOS tokens after an answer, from which the model learns to stop.
- **block**: up to the end of the last block that sampling denoises at once
- **longest**: up to the longest answer of the batch, as LLaDA does. It differs from batch to batch, so the probe must
  be online
- **max**: up to the greatest length. Most of the loss may then fall on the tail
- **one**: a single EOS
"""
SECTION_HELP: Mapping[str, str] = MappingProxyType({"Objective": _OBJECTIVE, "Examples and sampling": _EXAMPLES})
