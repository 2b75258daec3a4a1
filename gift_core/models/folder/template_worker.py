"""The process in which chat templates of model folders are rendered: what runs too long or too large ends with it.

Reads a line of JSON, `[template, turns, tokens]`, and writes a line, `[text, refusal]` of which one is null. A template
is a program: its loops and its powers end here, and not in the process that looks at the model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# Last, so that it hides nothing: the package is found also where it is not installed.
sys.path.append(str(Path(__file__).parents[3]))

from gift_core.bounded.limits import limit_more_memory, limit_time

# A long conversation in the longest template that is published takes a hundredth.
CPU_SECONDS = 2.0
# Of the clock; a busy machine must not change what a template is found to be.
WALL_SECONDS = 60
MEMORY_BYTES = 2**29
# What is written around the turns of a conversation: a template writes some hundred characters for each of them.
MOST_CHARACTERS = 1_000_000


def main() -> None:
    reply, sys.stdout = sys.stdout, sys.stderr
    from transformers.utils.chat_template_utils import render_jinja_template

    limit_more_memory(MEMORY_BYTES)

    def write(value: object) -> None:
        print(json.dumps(value), file=reply, flush=True)

    write("ready")
    for line in sys.stdin:
        limit_time(CPU_SECONDS, WALL_SECONDS)
        template, turns, tokens = json.loads(line)
        try:
            (text,), _ = render_jinja_template([turns], chat_template=template, add_generation_prompt=True, **tokens)
            answer = [text, None] if len(text) <= MOST_CHARACTERS else [None, f"it writes {len(text):,} characters"]
        except MemoryError:
            break
        # A template refuses what it does not know with errors of its own, and fails with any.
        except Exception as error:
            answer = [None, " ".join(str(error).split())[:300] or type(error).__name__]
        write(answer)
        limit_time(0, 0)


if __name__ == "__main__":
    main()
