"""`gift lm-eval`: the lm-evaluation-harness on a checkpoint."""

from __future__ import annotations

import typer

from gift_core.errors import SpecError

# All that follows is the harness's to read, --help too.
HANDED_OVER = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def lm_eval(context: typer.Context) -> None:
    """Run the lm-evaluation-harness: `gift lm-eval --model_args pretrained=runs/gift --tasks gsm8k --batch_size 8`.

    All arguments are the harness's own, and --model is gift. In --model_args: pretrained, chat, length, block_length,
    steps, mc_samples, seed. Needs the extra `harness`.
    """
    try:
        from gift_core.harness import evaluate
    except ModuleNotFoundError as error:
        raise SpecError(
            f"The lm-evaluation-harness is not installed: there is no {error.name}.",
            field="lm-eval",
            remedy='pip install "gift-studio[harness]"',
        ) from error
    try:
        evaluate(context.args)
    except ValueError as error:
        # So the harness says that a task or an argument is not what it knows.
        reason = " ".join(str(error).split())[:500]
        raise SpecError(reason, field="lm-eval", remedy="`gift lm-eval --help` lists the harness's options.") from error
