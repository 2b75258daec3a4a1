"""What an idle studio costs, without a tab and with one: CPU time, wake-ups and memory.

    PYTHONPATH=. python benchmarks/idle_cost.py --seconds 60
    PYTHONPATH=. python benchmarks/idle_cost.py --against ../other-checkout

Each checkout's studio runs on a data folder of its own, with the recorded experiment and an embedded worker. With
`--against` both run in the same seconds, so that what else the machine does slows both, and the ratio is printed.
The tab is a Chromium's, whose own cost is not counted. `--most` fails the run where this checkout takes more of a core.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from playwright.sync_api import sync_playwright

from tests.serving import free_port

_ROOT = Path(__file__).parents[1]
_START_SECONDS = 180
# What a start leaves to do: first looks, pages of Gradio's, the browser's requests.
_SETTLING_SECONDS = 10
_CHROMIUM = "/usr/bin/chromium"


@dataclass(frozen=True)
class Cost:
    """Of a studio's processes together: share of a core, wake-ups a second, bytes of RAM."""

    share: float
    wakeups: float
    resident: int


@dataclass(frozen=True)
class Running:
    """A studio that answers."""

    url: str
    process: psutil.Process

    def spent(self) -> tuple[float, int, int]:
        """CPU seconds, times a thread went to sleep, and bytes of RAM, up to now."""
        processes = [self.process, *self.process.children(recursive=True)]
        times = [process.cpu_times() for process in processes]
        switches = sum(process.num_ctx_switches().voluntary for thread in processes for process in _threads(thread))
        return (
            sum(each.user + each.system for each in times),
            switches,
            sum(process.memory_info().rss for process in processes),
        )


def _threads(process: psutil.Process) -> list[psutil.Process]:
    """Its threads, each of which counts its own wake-ups."""
    return [psutil.Process(thread.id) for thread in process.threads()]


@contextmanager
def studio(checkout: Path, data: Path) -> Iterator[Running]:
    """The studio of a checkout, until the block ends."""
    with free_port() as free:
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIFT_")}
    settings = {"GIFT_PORT": str(port), "GIFT_DATA_DIR": str(data), "PYTHONPATH": str(checkout)}
    with subprocess.Popen([sys.executable, "app.py"], cwd=checkout, env=kept | settings) as started:
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + _START_SECONDS
            while not _answers(url):
                if started.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the studio of {checkout} did not start")
                time.sleep(0.5)
            yield Running(url, psutil.Process(started.pid))
        finally:
            started.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


@contextmanager
def tabs(urls: Sequence[str]) -> Iterator[None]:
    """A tab on each of these pages, in a browser of its own, until the block ends."""
    with sync_playwright() as playwright, ExitStack() as held:
        for url in urls:
            browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
            held.callback(browser.close)
            page = browser.new_page()
            page.goto(url)
            page.wait_for_timeout(1000 * _SETTLING_SECONDS / len(urls))
        yield


def measure(studios: Sequence[Running], seconds: float) -> list[Cost]:
    """What each takes in the same `seconds`."""
    before = [each.spent() for each in studios]
    began = time.monotonic()
    time.sleep(seconds)
    after = [each.spent() for each in studios]
    passed = time.monotonic() - began
    return [
        Cost((cpu - cpu_before) / passed, (woken - woken_before) / passed, resident)
        for (cpu_before, woken_before, _), (cpu, woken, resident) in zip(before, after, strict=True)
    ]


def main() -> None:
    """Measure and print; fails where this checkout takes more than `--most`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long each measurement lasts")
    parser.add_argument("--page", default="runs", help="the page of the tab")
    parser.add_argument("--against", type=Path, help="another checkout, measured beside this one")
    parser.add_argument("--most", type=float, help="largest share of a core without a tab, such as 0.005")
    options = parser.parse_args()
    checkouts = [_ROOT] if options.against is None else [_ROOT, options.against.resolve()]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with ExitStack() as held:
        studios = [
            held.enter_context(studio(checkout, Path(held.enter_context(tempfile.TemporaryDirectory()))))
            for checkout in checkouts
        ]
        time.sleep(_SETTLING_SECONDS)
        costs = {"no tab": measure(studios, options.seconds)}
        with tabs([f"{each.url}/{options.page}" for each in studios]):
            costs[f"a tab on {options.page}"] = measure(studios, options.seconds)
    for name, (here, *others) in costs.items():
        ratio = "".join(f", {here.share / other.share:.2f} of the other's {other.share:.2%}" for other in others)
        print(
            f"{name}: {here.share:.2%} of a core, {here.wakeups:.0f} wake-ups a second, {here.resident >> 20} MB{ratio}"
        )
    if options.most is not None and costs["no tab"][0].share > options.most:
        raise SystemExit(f"more than {options.most:.2%} of a core")


if __name__ == "__main__":
    main()
