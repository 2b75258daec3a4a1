"""The browser components of the page Evaluate: progress, intervals, comparisons and answers."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from gift_core.statistics import wilson_interval
from tests.ui.component_site import Site
from tests.ui.evaluation_data import HOSTILE, Shown, items_of, publish
from tests.ui.mounting import Mount
from workers.records import JobState

pytestmark = pytest.mark.e2e

# Of twenty items GIFT solves 15, SFT 5, and they disagree about ten.
SFT = [True] * 5 + [False] * 15
GIFT = [True] * 15 + [False] * 5
# In one go: the row is drawn anew when the page has asked for it.
WIDTHS = """name => {
  const row = [...document.querySelectorAll('.gs-interval-row')].find((each) => each.textContent.includes(name));
  const whisker = row.querySelector('.gs-whisker');
  const [line, dot, track] = [whisker.querySelector('i'), whisker.querySelector('b'), whisker.parentElement]
    .map((each) => each.getBoundingClientRect());
  return [line.left, line.right, (dot.left + dot.right) / 2].map((x) => (x - track.left) / track.width);
}"""


def pair(site: Site, **changes: Any) -> dict[str, Any]:
    return publish(site, Shown("SFT", [SFT], **changes), Shown("GIFT", [GIFT], **changes))


def section(page: Page, title: str) -> Locator:
    return page.locator(".gs-section", has=page.get_by_role("heading", name=title, exact=True))


def items(page: Page) -> list[str]:
    return section(page, "Answers").locator("tbody tr:visible > th").all_inner_texts()


def test_accuracy_stands_with_its_interval_in_the_picture_and_in_the_table(mount: Mount, site: Site) -> None:
    page = mount("evaluation", pair(site))
    low, high = wilson_interval(15, 20)
    assert (round(low, 2), round(high, 2)) == (0.53, 0.89)
    row = page.locator(".gs-interval-row", has_text="GIFT").first
    expect(row).to_contain_text("15 of 20 solved, 75.0 % [53.1, 88.8]".replace(" %", "\u00a0%"))
    # The axis goes from 0 to 100: SFT's interval begins at 11 %.
    assert page.evaluate(WIDTHS, "GIFT") == pytest.approx([low, high, 0.75], abs=0.01)
    expect(section(page, "Solved").locator("tbody tr")).to_have_count(2)
    expect(section(page, "Solved").locator("tbody tr").nth(1)).to_contain_text("15 of 20")


def test_intervals_are_seen_on_a_phone(mount: Mount, site: Site) -> None:
    page = mount("evaluation", pair(site))
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator(".gs-interval-row", has_text="GIFT").first.locator(".gs-whisker i")).to_be_visible()
    page.wait_for_function("document.documentElement.scrollWidth <= 390")
    low, high, _ = page.evaluate(WIDTHS, "GIFT")
    track = page.evaluate("document.querySelector('.gs-interval-track').getBoundingClientRect().width")
    assert (high - low) * track > 80


def test_a_difference_is_claimed_with_its_interval(mount: Mount, site: Site) -> None:
    page = mount("evaluation", pair(site))
    claim = page.locator(".gs-conclusion")
    expect(claim).to_have_text(
        re.compile(r"^GIFT solves 50\.0 points more than SFT \(\d+\.\d to \d+\.\d\); 10 items only GIFT, 0 only SFT\.$")
    )
    page.get_by_label("First").select_option("SFT")
    expect(claim).to_have_text(re.compile(r"^SFT solves 50\.0 points fewer than GIFT \(\d+\.\d to \d+\.\d\)"))
    zero, tick = page.locator(".gs-comparisons .gs-zero"), page.locator(".gs-comparisons .gs-grid")
    assert zero.evaluate("line => line.style.getPropertyValue('--at')").strip() == "0.5"
    assert tick.count() == 5


def test_no_difference_is_claimed_where_the_interval_contains_zero(mount: Mount, site: Site) -> None:
    near = [True] * 4 + [False] * 2 + [True] * 2 + [False] * 12
    page = mount("evaluation", publish(site, Shown("SFT", [SFT]), Shown("GIFT", [near])))
    claim = page.locator(".gs-conclusion")
    expect(claim).to_contain_text("These items do not show a difference: GIFT minus SFT is +5.0 points")
    expect(claim).to_contain_text("contains 0; 2 items only GIFT, 1 only SFT.")
    expect(claim).not_to_contain_text("solves")


def test_a_checkpoint_does_not_differ_from_an_equal_one(mount: Mount, site: Site) -> None:
    page = mount("evaluation", publish(site, Shown("A", [GIFT]), Shown("B", [GIFT])))
    expect(page.locator(".gs-conclusion")).to_contain_text("do not show a difference: B minus A is 0.0 points")
    expect(page.locator(".gs-comparisons tbody td")).to_have_text(["15", "0", "0", "5", "1"])


def test_several_seeds_are_compared_each_and_together(mount: Mount, site: Site) -> None:
    seeds = (1, 2, 3)
    page = mount(
        "evaluation",
        publish(site, Shown("SFT", [SFT, SFT, SFT], seeds=seeds), Shown("GIFT", [GIFT, GIFT, GIFT], seeds=seeds)),
    )
    expect(page.locator(".gs-comparisons .gs-interval-label")).to_have_text(["All seeds", "Seed 1", "Seed 2", "Seed 3"])
    expect(page.locator(".gs-conclusion")).to_contain_text("30 answers over 3 seeds only GIFT, 0 only SFT")
    expect(section(page, "Solved").locator(".gs-whisker")).to_have_count(6)
    expect(section(page, "Solved")).to_contain_text("3 seeds: 15 of 20 solved each")
    page.get_by_label("Length and seed").select_option("256 tokens, seed 3")
    expect(section(page, "Answers").locator("tbody tr:visible")).to_have_count(20)


def test_answers_are_filtered_by_who_solved_them(mount: Mount, site: Site) -> None:
    page = mount("evaluation", pair(site))
    which = page.get_by_label("Which items")
    expect(which.locator("option")).to_have_text(
        ["All (20)", "They disagree (10)", "Nobody solved (5)", "All solved (5)"]
    )
    for choice, expected in (("disagree", range(5, 15)), ("nobody", range(15, 20)), ("everybody", range(5))):
        which.select_option(choice)
        assert items(page) == [str(number) for number in expected]


def test_long_lists_have_pages(mount: Mount, site: Site) -> None:
    page = mount("evaluation", publish(site, Shown("GIFT", [[True] * 45], items=items_of(45))))
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    for _ in range(2):
        page.get_by_role("button", name="Next").click()
    assert items(page) == ["40", "41", "42", "43", "44"]
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_label("Which items").select_option("nobody")
    expect(page.get_by_text("No item is like that.")).to_be_visible()


def test_a_row_opens_to_its_texts_which_stay_text(mount: Mount, site: Site) -> None:
    hostile = [Shown(f"SFT{HOSTILE}", [SFT]), Shown("GIFT", [GIFT])]
    page = mount("evaluation", publish(site, *hostile))
    page.get_by_role("button", name="3", exact=True).click()
    expect(page.get_by_label("Prompt")).to_have_text(f"Which number is 3?\n{HOSTILE}", use_inner_text=True)
    expect(page.get_by_label("Response of GIFT")).to_have_text(
        f"{HOSTILE}\n  so\n<answer>3</answer>", use_inner_text=True
    )
    expect(page.locator(".gs-card h3").first).to_have_text(f"SFT{HOSTILE}")
    assert page.locator("#host :is(img, script)").count() == 0


def test_watching_leads_to_denoise_with_prompt_checkpoints_and_settings(mount: Mount, site: Site) -> None:
    page = mount("evaluation", pair(site))
    page.get_by_role("button", name="3", exact=True).click()
    href = page.get_by_role("link", name="Watch it").get_attribute("href")
    assert href is not None
    given = {name: value for name, (value,) in parse_qs(urlsplit(href).query).items()}
    assert urlsplit(href).path == "denoise"
    assert given["checkpoints"] == "sft,gift"
    assert given["prompt"] == f"Which number is 3?\n{HOSTILE}"
    assert (given["seed"], given["length"], given["steps"]) == ("0", "256", "128")
    assert "confidence_threshold" not in given


def test_answers_are_saved_without_formulas(mount: Mount, site: Site) -> None:
    page = mount("evaluation", publish(site, Shown("=SUM(A1)", [SFT])))
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    header, *rows = csv.reader(io.StringIO(download.value.path().read_text("utf-8")))
    assert len(rows) == 20
    assert {row[header.index("checkpoint")] for row in rows} == {"'=SUM(A1)"}
    assert rows[-1][header.index("response")].startswith("'=1+1")
    with page.expect_download() as download:
        page.get_by_role("button", name="JSONL").click()
    lines = [json.loads(line) for line in download.value.path().read_text("utf-8").splitlines()]
    assert [line["solved"] for line in lines] == SFT
    assert lines[-1]["response"].startswith("=1+1")
    with page.expect_download() as download:
        page.get_by_role("button", name="Results (JSON)").click()
    (result,) = json.loads(download.value.path().read_text("utf-8"))
    assert result["conditions"][0]["solved"]["correct"] == 5


def test_progress_is_asked_for_until_nothing_is_active(mount: Mount, site: Site) -> None:
    running = Shown("GIFT", [GIFT[:8]], state=JobState.RUNNING)
    page = mount("evaluation", None)
    page.clock.install()
    page.evaluate("data => component.update(data)", publish(site, running))
    card = page.get_by_role("article", name="GIFT")
    for text in ("running", "8 of 20 answers", "1 min 05 s left", "8 of 8 solved"):
        expect(card).to_contain_text(text.replace("1 min 05 s", "1\u00a0min\u00a005\u00a0s"))
    expect(card.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "8")
    expect(section(page, "Answers").get_by_role("button", name="Show the answers so far")).to_be_visible()
    publish(site, Shown("GIFT", [GIFT]))
    site.publish("job", {"id": running.order.id})
    expect(card).to_contain_text("finished")
    expect(section(page, "Answers").locator("tbody tr:visible")).to_have_count(20)
    page.clock.run_for(5_000)  # What was asked for while the end was told.
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(60_000)
    assert asked == []


def test_stopping_and_going_on(mount: Mount, site: Site) -> None:
    running = Shown("GIFT", [GIFT[:8]], state=JobState.RUNNING)
    data = publish(site, running)
    page = mount("evaluation", data)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Stopping…")).to_be_disabled()
    publish(site, Shown("GIFT", [GIFT[:10]], state=JobState.STOPPED))
    site.publish("job", {"id": running.order.id})
    page.get_by_role("button", name="Go on").click()
    identity = running.order.id
    assert page.evaluate("actions") == [["stop", {"evaluation": identity}], ["go_on", {"evaluation": identity}]]
    # What the page says then is that it runs again.
    publish(site, running)
    page.evaluate("data => component.update(data)", data)
    expect(page.get_by_role("button", name="Stop")).to_be_enabled()


def test_a_failure_says_why_and_can_be_tried_again(mount: Mount, site: Site) -> None:
    data = publish(site, Shown("GIFT", [GIFT[:8]], state=JobState.FAILED))
    failed = data["evaluations"][0]["id"]
    problem = {"field": "source.file", "message": HOSTILE, "remedy": "Upload it."}
    site.documents[f"evaluations/{failed}"] |= {"problems": [problem]}
    card = mount("evaluation", data).get_by_role("article", name="GIFT")
    for text in ("failed", "source.file", HOSTILE, "Upload it."):
        expect(card).to_contain_text(text)
    expect(card.get_by_role("button", name="Try again")).to_be_visible()


def test_evaluations_of_other_items_are_not_laid_on_the_same_rows(mount: Mount, site: Site) -> None:
    other = Shown("Other", [GIFT], items=items_of(20, "mine"))
    page = mount("evaluation", publish(site, Shown("SFT", [SFT]), other))
    expect(section(page, "Answers")).to_contain_text("Other: other items")
    expect(section(page, "Answers").locator("thead th")).to_have_text(["Item", "Expected", "SFT"])
    # The reason why they are not compared is the backend's.
    expect(section(page, "Compared on the same items")).to_contain_text("There is no evaluation-comparisons")


def test_evaluations_of_the_same_task_can_be_laid_beside_each_other(mount: Mount, site: Site) -> None:
    shown = pair(site)["evaluations"]
    elsewhere = {**shown[1], "id": "ev_x", "order": {**shown[1]["order"], "task": "sudoku"}}
    data = {"api": "/api", "opened": [shown[0]["id"]], "most": 8, "evaluations": [*shown, elsewhere]}
    entries = mount("evaluations", data).locator(".gs-evaluation-list li")
    expect(entries.nth(0).get_by_role("link")).to_have_count(0)
    expect(entries.nth(1).get_by_role("link")).to_have_text(["Open", "Compare"])
    href = entries.nth(1).get_by_role("link", name="Compare").get_attribute("href")
    assert href is not None
    assert parse_qs(urlsplit(href).query) == {"evaluations": [f"{shown[0]['id']},{shown[1]['id']}"]}
    expect(entries.nth(2).get_by_role("link")).to_have_text(["Open"])


def test_the_list_of_evaluations_learns_from_the_stream(mount: Mount, site: Site) -> None:
    data = publish(site, Shown("GIFT", [GIFT[:8]], state=JobState.RUNNING))
    entry = mount("evaluations", {**data, "opened": [], "most": 8}).locator(".gs-evaluation-list li")
    expect(entry).to_contain_text("running")
    identity = data["evaluations"][0]["id"]
    site.publish("job", {"id": identity, "state": "finished", "step": 20, "latest": {"solved": 15}})
    expect(entry).to_contain_text("finished, 15 of 20 solved")
