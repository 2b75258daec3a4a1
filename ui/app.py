"""The front end: four pages over one typed client."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from ui.client import StudioClient
from ui.pages.denoise import DenoisePage
from ui.pages.launch import LaunchPage
from ui.pages.runs import RunsPage
from ui.pages.tokens import TokensPage

STATIC = Path(__file__).parent / "static"
# System fonts only: nothing is fetched from another host.
_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


def build_ui(client: StudioClient) -> gr.Blocks:
    """All pages, each at an address of its own."""
    with gr.Blocks(title="GIFT Studio", analytics_enabled=False) as demo:
        gr.Navbar(main_page_name="Launch")
        LaunchPage(demo, client)
    for name, path, page in (
        ("Runs", "runs", RunsPage),
        ("Tokens", "tokens", TokensPage),
        ("Denoise", "denoise", DenoisePage),
    ):
        with demo.route(name, path):
            page(demo, client)
    # Gradio runs one call per event at a time by default: two visitors would wait for each other.
    demo.queue(default_concurrency_limit=8, max_size=64)
    return demo


def theme() -> gr.Theme:
    """Calm and close to the components' own colours."""
    return gr.themes.Default(primary_hue="blue", neutral_hue="slate", font=_FONTS, font_mono=_MONO)
