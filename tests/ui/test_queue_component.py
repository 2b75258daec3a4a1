"""The queue in the browser: what runs, what waits, and what a press asks for."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ui.component_data import offered
from tests.ui.component_site import Site
from tests.ui.mounting import Mount, hold_time

pytestmark = pytest.mark.e2e

HOSTILE = "<img src=x onerror=alert(1)>"
RUNNING: dict[str, Any] = {"phase": "training", "step": 3, "total_steps": 9, "placed_on": "cuda:0", "started": 1.0}


def job(identity: str, state: str, **fields: Any) -> dict[str, Any]:
    known = {"kind": "train", "experiment_id": "exp_1", "label": "GIFT", "created_by": "", "phase": "", "priority": 0}
    times = {"created": 1.0, "started": None, "ended": None, "step": 0, "total_steps": None, "eta_seconds": None}
    place = {"placed_on": "", "host": None, "attempt": 1, "failure": None, "devices": 1, "device": "", "pinned": False}
    kept = {"saved_step": 3, "undo_step": None, "first_attempt": 1, "elapsed": 1.0, "stop_mode": None}
    view = {**known, **times, **place, **kept, "id": identity, "state": state, **fields}
    return view | {"actions": offered(view)}


def publish(site: Site, *, paused: bool = False) -> None:
    running = job("run_1", "running", **RUNNING)
    waiting = [job("run_2", "queued"), job("run_3", "queued", label="SFT", devices=2, device="cuda")]
    failure = {"code": "killed", "message": "It was killed.", "field": "", "remedy": "Resume it."}
    ended = job("run_4", "failed", failure=failure, started=1.0, ended=2.0)
    exported = job("ex_1", "finished", kind="export", experiment_id=None, label="export", started=1.0, ended=3.0)
    taken = {"cuda:0": None, "cuda:1": "run_1"}
    devices = [{"name": name, "title": "A GPU", "memory": 1, "job": identity} for name, identity in taken.items()]
    site.documents = {
        "queue": {"paused": paused, "running": [running], "waiting": waiting},
        "devices": [{"id": "w", "host": "box", "started": 1.0, "seen": 1.0, "devices": devices}],
        "jobs?ended=true&limit=20": {"items": [ended, exported], "next": None},
        "experiments/exp_1": {"id": "exp_1", "name": HOSTILE},
    }
    # A stream begins with it.
    site.publish("queue", {"paused": paused, "waiting": [{"id": each["id"], "priority": 0} for each in waiting]})


def asked(page: Page) -> list[str]:
    """What is asked of the API from now on, without the stream."""
    found: list[str] = []
    page.on("request", lambda request: "/events" in request.url or found.append(request.url))
    return found


def test_it_shows_devices_jobs_and_their_order(mount: Mount, site: Site) -> None:
    publish(site)
    page = mount("queue", {"api": "api"})
    expect(page.get_by_role("list", name="Devices")).to_contain_text("cuda:0A GPU · boxfree")
    expect(page.get_by_role("list", name="Devices")).to_contain_text("cuda:1A GPU · boxGIFT")
    expect(page.get_by_role("region", name="Running")).to_contain_text("3 of 9")
    waiting = page.get_by_role("region", name="Waiting")
    expect(waiting.locator("b")).to_have_text(["GIFT", "SFT"])
    expect(waiting.get_by_role("listitem").last).to_contain_text("on 2 devices · on cuda")
    ended = page.get_by_role("region", name="Ended")
    expect(ended).to_contain_text("It was killed. Resume it.")
    expect(ended).to_contain_text(HOSTILE)
    expect(ended.get_by_role("link", name="Download")).to_have_count(1)


def test_presses_say_what_is_wanted_of_which_job(mount: Mount, site: Site) -> None:
    publish(site)
    page = mount("queue", {"api": "api"})
    waiting = page.get_by_role("region", name="Waiting").get_by_role("listitem")
    expect(waiting.first.get_by_role("button", name="Next")).to_be_disabled()
    waiting.last.get_by_role("button", name="Next").click()
    waiting.first.get_by_role("button", name="Last").click()
    waiting.first.get_by_role("button", name="Stop").click()
    waiting.first.get_by_role("button", name="Take off the queue").click()
    page.get_by_role("region", name="Ended").get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause the queue").click()
    assert page.evaluate("actions") == [
        ["first", {"job": "run_3"}],
        ["later", {"job": "run_2"}],
        ["stop", {"job": "run_2"}],
        ["resume", {"job": "run_4"}],
        ["pause", {}],
    ]


def test_a_refusal_says_what_to_do(mount: Mount, site: Site) -> None:
    site.publish("queue", {"paused": False, "waiting": []})
    page = mount("queue", {"api": "api"})
    expect(page.get_by_role("status")).to_contain_text("There is no")
    expect(page.get_by_text("Nothing is running.")).to_be_hidden()
    expect(page.get_by_role("status")).to_contain_text("Check the link.")


def test_why_nothing_is_taken_is_said_until_something_is(mount: Mount, site: Site) -> None:
    publish(site)
    why = "The data folder cannot be written to: Read-only file system. Look at its disk."
    site.documents["queue"] |= {"held_up": why}
    site.documents["devices"][0]["devices"][0] |= {"held_up": why}
    page = mount("queue", {"api": "api"})
    expect(page.get_by_role("status")).to_have_text(f"Nothing is taken: {why}")
    expect(page.get_by_role("list", name="Devices")).to_contain_text("takes nothing")
    publish(site)
    # Nothing tells of its end.
    expect(page.get_by_role("status")).to_have_text("live", timeout=60_000)
    expect(page.get_by_role("list", name="Devices")).to_contain_text("free")


def test_news_are_shown_and_an_open_question_stays_open(mount: Mount, site: Site) -> None:
    publish(site)
    page = mount("queue", {"api": "api"})
    running = page.get_by_role("region", name="Running")
    running.get_by_role("button", name="Stop").click()
    publish(site, paused=True)
    expect(page.get_by_role("button", name="Let the queue go on")).to_be_visible()
    expect(running.get_by_role("button", name="Stop and save")).to_be_visible()


def test_progress_comes_with_the_stream_and_another_state_or_order_asks_anew(mount: Mount, site: Site) -> None:
    publish(site)
    page = mount("queue", {"api": "api"})
    running = page.get_by_role("region", name="Running")
    assert site.wait_for_streams(1)
    expect(running).to_contain_text("3 of 9")
    # What is asked for now and then, or once more because the stream came late, is not asked for meanwhile.
    hold_time(page)
    requests = asked(page)
    site.publish("job", job("run_1", "running", **RUNNING | {"step": 7}))
    expect(running).to_contain_text("7 of 9")
    site.publish("job", job("run_1", "stopping", **RUNNING | {"step": 8}))
    expect(running).to_contain_text("stopping")
    assert requests == []
    page.clock.resume()
    site.documents["queue"] |= {"running": []}
    site.documents["jobs?ended=true&limit=20"]["items"] = [job("run_1", "stopped", started=1.0, ended=2.0)]
    site.publish("job", job("run_1", "stopped", started=1.0, ended=2.0))
    expect(page.get_by_role("region", name="Ended")).to_contain_text("stopped")
    expect(running).to_contain_text("Nothing is running.")
    assert [url.rpartition("/")[2] for url in requests] == ["queue", "devices", "jobs?ended=true&limit=20"]


def test_a_lost_stream_is_followed_by_one_look(mount: Mount, site: Site) -> None:
    publish(site)
    page = mount("queue", {"api": "api"})
    expect(page.get_by_role("status")).to_have_text("live")
    site.documents["queue"] |= {"running": []}
    site.drop_streams()
    expect(page.get_by_role("region", name="Running")).to_contain_text("Nothing is running.")
    expect(page.get_by_role("status")).to_have_text("live")


def test_a_name_that_cannot_be_had_is_left_out(mount: Mount, site: Site) -> None:
    publish(site)
    del site.documents["experiments/exp_1"]
    page = mount("queue", {"api": "api"})
    expect(page.get_by_role("region", name="Waiting").locator("b")).to_have_text(["GIFT", "SFT"])
    expect(page.get_by_role("status")).to_have_text("live")


def test_pausing_can_be_tried_again_when_nothing_came_of_it(mount: Mount, site: Site) -> None:
    publish(site)
    page = mount("queue", {"api": "api"})
    pause = page.get_by_role("button", name="Pause the queue")
    expect(pause).to_be_enabled()
    hold_time(page)
    pause.click()
    page.clock.run_for(9_000)
    expect(pause).to_be_disabled()
    page.clock.run_for(2_000)
    expect(pause).to_be_enabled()
    pause.click()
    expect(pause).to_be_disabled()
    page.evaluate(REFUSE, {"title": "No", "problems": [{"field": "", "message": "You may not.", "remedy": "Sign in."}]})
    expect(pause).to_be_enabled()


# What the page shows when the backend refuses what a press has asked for.
REFUSE = """async (data) => {
  const { mount } = await import('/assets/problems.js');
  mount(document.body.appendChild(document.createElement('div')), { data });
}"""
