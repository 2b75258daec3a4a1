"""What the chart of the runs page draws of the metrics, read from Plotly in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ui.component_data import run_view
from tests.ui.component_site import Site
from tests.ui.mounting import Mount, set_slider
from tests.ui.test_run_components import RUNS

pytestmark = pytest.mark.e2e

GIB = 2**30
DECILES = {f"loss_share_decile_{i}": share for i, share in enumerate([0.01] * 8 + [0.32, 0.6], start=1)}


def publish(site: Site, run: str, label: str, *values: dict[str, float], state: str = "running") -> None:
    """A run with these values at steps 10, 20, …"""
    site.publish("run", run_view(run, label, state))
    points = [{"cursor": i, "step": 10 * i, "time": 0.0, "values": each} for i, each in enumerate(values, start=1)]
    site.publish("metrics", {"run_id": run, "points": points})


def choose(page: Page, metric: str, curves: int) -> list[dict[str, Any]]:
    """Draw a metric without smoothing, and give Plotly's traces once that many are drawn."""
    # Where every metric starts from, the slider is there.
    page.get_by_label("Metric").select_option("loss")
    set_slider(page, "Smoothing", 0)
    page.get_by_label("Metric").select_option(metric)
    title = page.locator("select option:checked").inner_text()
    page.wait_for_function(
        """([title, count]) => {
          const { layout, data } = document.querySelector('.gs-chart');
          return data?.length === count && (data[0].type === 'bar' || layout.yaxis.title.text.startsWith(title));
        }""",
        arg=[title, curves],
    )
    return page.evaluate("document.querySelector('.gs-chart').data")


def axis_title(page: Page) -> str:
    return page.evaluate("document.querySelector('.gs-chart').layout.yaxis.title.text")


def test_metrics_are_offered_in_groups(mount: Mount) -> None:
    groups = mount("runs", RUNS).get_by_label("Metric").locator("optgroup")
    assert groups.evaluate_all("all => all.map((group) => group.label)") == ["Loss", "Tokens", "Optimiser", "Machine"]
    expect(groups.nth(0).locator("option").first).to_have_text("Training loss")


def test_percentiles_are_a_median_in_a_band(mount: Mount, site: Site) -> None:
    quantiles = ({"entropy_p10": low, "entropy_p50": 0.5, "entropy_p90": 1.5} for low in (0.1, 0.2))
    publish(site, "r1", "GIFT", *quantiles)
    low, high, median = choose(mount("runs", RUNS), "entropy", curves=3)
    assert (low["y"], high["y"], median["y"]) == ([0.1, 0.2], [1.5, 1.5], [0.5, 0.5])
    assert high["fill"] == "tonexty"
    assert [trace.get("showlegend") for trace in (low, high, median)] == [False, False, None]
    assert median["x"] == [10, 20]


def test_deciles_are_bars_of_the_latest_step(mount: Mount, site: Site) -> None:
    publish(site, "r1", "GIFT", dict.fromkeys(DECILES, 0.1), DECILES)
    publish(site, "r2", "SHUFFLED", DECILES, dict.fromkeys(DECILES, 0.1))
    page = mount("runs", RUNS)
    gift, shuffled = choose(page, "loss_share_decile", curves=2)
    assert (gift["name"], gift["x"], gift["y"]) == ("GIFT", list(range(1, 11)), list(DECILES.values()))
    assert shuffled["y"] == [0.1] * 10
    assert gift["marker"]["color"] != shuffled["marker"]["color"]
    (even,) = page.evaluate("document.querySelector('.gs-chart').layout.shapes")
    assert (even["y0"], even["line"]["dash"]) == (0.1, "dash")
    title = page.locator(".gs-chart-title")
    expect(title).to_contain_text("Step 20")
    expect(page.get_by_label("Smoothing")).to_be_hidden()
    publish(site, "r1", "GIFT", DECILES, DECILES, DECILES)
    expect(title).to_contain_text("GIFT 30, SHUFFLED 20")


def test_runs_without_a_probe_are_named_instead_of_left_out_silently(mount: Mount, site: Site) -> None:
    publish(site, "r1", "SFT", {"mask_ratio": 0.5})
    page = mount("runs", RUNS)
    page.get_by_label("Metric").select_option("entropy")
    expect(page.locator(".gs-chart-note")).to_have_text("None of these runs has this metric.")
    told = page.get_by_text("No values for")
    expect(told).to_contain_text("No values for SFT:")
    publish(site, "r2", "GIFT", {"mask_ratio": 0.5, "entropy_p10": 0, "entropy_p50": 1, "entropy_p90": 2})
    expect(page.locator(".gs-chart-note")).to_be_empty()
    expect(told).to_contain_text("No values for SFT:")
    page.get_by_label("Metric").select_option("mask_ratio")
    expect(told).to_be_hidden()


def test_a_run_that_has_not_begun_is_not_called_one_without_a_probe(mount: Mount, site: Site) -> None:
    publish(site, "r1", "GIFT", state="queued")
    page = mount("runs", RUNS)
    page.get_by_label("Metric").select_option("entropy")
    expect(page.locator(".gs-chart-note")).to_contain_text("No points of this metric yet")
    expect(page.get_by_text("No values for")).to_be_hidden()


def test_a_methods_own_held_out_loss_comes_with_the_caution(mount: Mount, site: Site) -> None:
    publish(site, "r1", "SFT", {"eval_loss": 2.0})
    publish(site, "r2", "GIFT", {"eval_loss": 2.0, "eval_objective": 1.0})
    page = mount("runs", RUNS)
    choose(page, "eval_objective", curves=2)
    expect(page.get_by_text("No values for SFT:")).to_be_visible()
    page.get_by_role("button", name="held-out loss").click()
    expect(page.get_by_label("Metric")).to_have_value("eval_loss")
    expect(page.get_by_role("button", name="held-out loss")).to_be_hidden()


@pytest.mark.parametrize(("largest", "unit", "drawn"), [(3 * GIB, "GiB", [1.5, 3]), (GIB // 2, "MiB", [256, 512])])
def test_memory_is_drawn_in_a_unit_that_reads_well(
    mount: Mount, site: Site, largest: int, unit: str, drawn: list[float]
) -> None:
    publish(site, "r1", "GIFT", {"peak_memory_bytes": largest // 2}, {"peak_memory_bytes": largest})
    page = mount("runs", RUNS)
    (curve,) = choose(page, "peak_memory_bytes", curves=1)
    assert curve["y"] == drawn
    assert axis_title(page) == f"Peak memory, {unit}"


def test_smoothing_leaves_alone_what_does_not_change(mount: Mount, site: Site) -> None:
    publish(site, "r1", "GIFT", *({"loss": 0.1} for _ in range(5)))
    page = mount("runs", RUNS)
    page.wait_for_function("document.querySelector('.gs-chart').data?.length === 2")
    assert page.evaluate("document.querySelector('.gs-chart').data[1].y") == [0.1] * 5


def test_a_single_point_is_drawn_as_a_point(mount: Mount, site: Site) -> None:
    publish(site, "r1", "SFT", {"loss": 0.5})
    (trace,) = choose(mount("runs", RUNS), "loss", curves=1)
    assert trace["mode"] == "lines+markers"


def test_more_runs_than_colours_can_still_be_told_apart(mount: Mount, site: Site) -> None:
    for i in range(1, 9):
        publish(site, f"r{i}", f"run {i}", {"learning_rate": i / 1000}, {"learning_rate": i / 1000})
    page = mount("runs", RUNS)
    curves = choose(page, "learning_rate", curves=8)
    assert len({(curve["line"]["color"], curve["line"]["dash"]) for curve in curves}) == 8
