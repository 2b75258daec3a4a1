"""Traces to take away: one HTML file that plays them with the studio's own player and asks no network for anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from gift_core.comparison import TraceComparison, compare
from gift_core.trace import Trace
from ui.client import StudioClient
from ui.connection import StudioError
from ui.visitor import Visitors

OFFLINE_ADDRESS = "offline.html"
_STATIC = Path(__file__).parent / "static"
_ENTRY = "denoise.js"
_STYLES = ("studio.css", "player.css")
_IMPORT = re.compile(r"(?<=from ')\./([\w.]+)(?=')")
# Module names that no file has: a relative name has no meaning inside a data: URL.
_PREFIX = "gift/"
# Whatever a page from a file might try: nothing is fetched, and only what it holds itself is run.
_POLICY = "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data:"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<title>Denoising, step by step</title>
<link rel="icon" href="data:,">
<style class="gs-styles">
body {{ max-width: 1400px; margin: 0 auto; padding: 24px; background: #fff; font-family: system-ui, sans-serif; }}
body.dark {{ background: #12151b; }}
{styles}
</style>
<script type="importmap">{modules}</script>
<body>
<div id="host"></div>
<script type="application/json" id="data">{data}</script>
<script type="module">
import {{ mount }} from '{prefix}{entry}';
const dark = matchMedia('(prefers-color-scheme: dark)');
const follow = () => document.body.classList.toggle('dark', dark.matches);
dark.addEventListener('change', follow);
follow();
mount(document.getElementById('host'), {{ data: JSON.parse(document.getElementById('data').textContent) }});
</script>
</html>
"""


def offline_page(traces: Sequence[Trace], comparisons: Mapping[tuple[int, int], TraceComparison] | None = None) -> str:
    """A page that plays `traces`; `comparisons` are of pairs of them, by their indices."""
    data = {
        "traces": [
            {"id": str(index), "label": trace.start.label, "document": trace.model_dump(mode="json")}
            for index, trace in enumerate(traces)
        ],
        "comparisons": {
            f"{first}-{second}": each.model_dump(mode="json") for (first, second), each in (comparisons or {}).items()
        },
    }
    imports = {_PREFIX + name: _data_url(text) for name, text in _modules()}
    return _PAGE.format(
        policy=_POLICY,
        styles="\n".join((_STATIC / name).read_text("utf-8") for name in _STYLES).replace('@charset "utf-8";', ""),
        modules=embedded({"imports": imports}),
        data=embedded(data),
        prefix=_PREFIX,
        entry=_ENTRY,
    )


def embedded(value: object) -> str:
    """JSON that may stand in a script element: what could end it, or a line of it, is escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def offline_pages(client: StudioClient, visitors: Visitors) -> APIRouter:
    """The route that offers `offline_page` for finished traces of the backend."""
    router = APIRouter()

    @router.get(f"/{OFFLINE_ADDRESS}")
    def offline(request: Request, trace: Annotated[list[str], Query(min_length=1, max_length=8)]) -> Response:
        acting = client.acting_for(visitors.credentials(request))
        try:
            traces = [acting.trace(identity) for identity in trace]
        except StudioError as error:
            return Response(str(error), error.status or 502, media_type="text/plain")
        page = offline_page(traces, _comparisons(traces))
        headers = {"Content-Disposition": f'attachment; filename="denoising-{quote(trace[0], safe="")}.html"'}
        return Response(page, media_type="text/html", headers=headers)

    return router


def _comparisons(traces: Sequence[Trace]) -> dict[tuple[int, int], TraceComparison]:
    """Of all pairs that can be compared, in both orders: those of one length."""
    return {
        (first, second): compare(traces[first], traces[second])
        for first, second in permutations(range(len(traces)), 2)
        if traces[first].length == traces[second].length
    }


def _modules() -> Iterator[tuple[str, str]]:
    """The modules that the player needs, by file name, with names in place of relative imports."""
    waiting, seen = [_ENTRY], {_ENTRY}
    while waiting:
        name = waiting.pop()
        source = (_STATIC / name).read_text("utf-8")
        needed = [each for each in _IMPORT.findall(source) if each not in seen]
        seen.update(needed)
        waiting.extend(needed)
        yield name, _IMPORT.sub(rf"{_PREFIX}\1", source)


def _data_url(module: str) -> str:
    return f"data:text/javascript;charset=utf-8,{quote(module)}"
