"""The front end: its pages over one typed client."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from ui.client import StudioClient
from ui.pages.denoise import DenoisePage
from ui.pages.evaluate import EvaluatePage
from ui.pages.faults import guard
from ui.pages.launch import LaunchPage
from ui.pages.queue import QueuePage
from ui.pages.runs import RunsPage
from ui.pages.tokens import TokensPage

STATIC = Path(__file__).parent / "static"
# In the head rather than as Gradio's `css`, which does not reach the navigation bar. The script is inline: it is there
# before the pages ask for anything.
HEAD = (
    '<link rel="stylesheet" href="components/pages.css">'
    f"<script>{(STATIC / 'gradio_requests.js').read_text('utf-8')}</script>"
)
# System fonts only: nothing is fetched from another host.
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


# The age at which Gradio's own copy of an uploaded file goes, and the seconds between looks for such files.
UPLOADS_KEPT_SECONDS = 600
_UPLOADS_LOOK_SECONDS = 60
# Gradio looks a thousand times a second whether an event has come, which takes a twentieth of a core. So many seconds
# between two looks are not noticed; of progress, no page shows any.
_EVENT_SECONDS = 0.05
_PROGRESS_SECONDS = 1.0


def build_ui(client: StudioClient, *, account_link: bool = False) -> gr.Blocks:
    """All pages, each at an address of its own. `account_link`: the bar leads to signing in and out."""
    with gr.Blocks(
        title="GIFT Studio", analytics_enabled=False, delete_cache=(_UPLOADS_LOOK_SECONDS, UPLOADS_KEPT_SECONDS)
    ) as demo:
        _navigation(account_link)
        LaunchPage(demo, client)
    for name, path, page in (
        ("Runs", "runs", RunsPage),
        ("Queue", "queue", QueuePage),
        ("Tokens", "tokens", TokensPage),
        ("Denoise", "denoise", DenoisePage),
        ("Evaluate", "evaluate", EvaluatePage),
    ):
        with demo.route(name, path):
            _navigation(account_link)
            page(demo, client)
    guard(demo)
    # Gradio runs one call per event at a time by default: two visitors would wait for each other.
    demo.queue(default_concurrency_limit=8, max_size=64)
    # There is no setting for these.
    demo._queue.sleep_when_free = _EVENT_SECONDS
    demo._queue.progress_update_sleep_when_free = _PROGRESS_SECONDS
    return demo


def _navigation(account_link: bool) -> None:
    # Every page has a bar of its own, which would otherwise call the first page "Home".
    gr.Navbar(main_page_name="Launch", value=[("Account", "sign-in")] if account_link else None)


def theme() -> gr.Theme:
    """Calm, close to the components' own colours, and with text of enough contrast (WCAG AA) on every surface."""
    base = gr.themes.Default(primary_hue="blue", neutral_hue="slate", radius_size="md", font=_FONTS, font_mono=_MONO)
    return base.set(
        layout_gap="12px",
        body_background_fill="*neutral_50",
        body_text_color_subdued="*neutral_500",
        block_title_text_color="*neutral_700",
        block_title_text_weight="600",
        block_info_text_color="*neutral_500",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        color_accent="*primary_600",
        slider_color="*primary_600",
        checkbox_background_color_selected="*primary_600",
        checkbox_border_color_selected="*primary_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
    )
