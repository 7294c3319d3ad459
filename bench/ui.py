"""What the pages cost a reader in a real Chromium, beside TensorBoard and trackio on the same data.

Cold: a browser without a cache opens the page of a run; measured until its first chart has ink. The
server reads settled chunks, as it does minutes after a run. Figures of a shared machine swing:
compare within one run. A part can be measured alone:

    python bench/ui.py [cold] [weight] [zoom] [idle] [live] [board] [--steps 100000]
    python bench/ui.py peers --peers DIRECTORY  # a virtual environment with tensorboard and trackio
"""

import argparse
import asyncio
import gzip
import json
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Error, Page, sync_playwright
from ui_store import BODY_POINTS, METRICS, fill_long, value

LINE = "{:<58} {:>12} {:>10}  {}"
ROUNDS = 5
PEER_STEPS = 100_000  # trackio takes minutes to log more
UP_WITHIN_S = 90
DESKTOP = {"width": 1440, "height": 900}

INK = """() => [...document.querySelectorAll('canvas')].some(canvas => {
  const {width, height} = canvas;
  if (!width || !height) return false;
  const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
  const seen = new Set();
  for (let i = 0; i < data.length; i += 28) { // some pixels of each row: looking must cost little
    const [r, g, b, a] = [data[i], data[i + 1], data[i + 2], data[i + 3]];
    if (a > 60 && Math.max(r, g, b) - Math.min(r, g, b) > 40) seen.add((i / 4) % width);
  }
  return seen.size > width / 16;
})"""

# Frame times while the zoom of all charts changes at every frame.
FRAMES = """async (turns) => {
  const times = [];
  let last = performance.now();
  for (let i = 0; i < turns; i += 1) {
    const half = 900 - (i % 60) * 12;
    const query = new URLSearchParams(location.search);
    query.set('from', String(1000 - half));
    query.set('to', String(1000 + half));
    history.replaceState(null, '', `?${query}`);
    dispatchEvent(new PopStateEvent('popstate'));
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - last);
    last = performance.now();
  }
  return times.slice(5);
}"""


SCROLL = """async () => {
  const times = [];
  let last = performance.now();
  for (let i = 0; i < 240; i += 1) {
    scrollBy(0, 90);
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - last);
    last = performance.now();
  }
  return times.slice(5);
}"""


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@contextmanager
def program(command: list[str], ready: str, **environment: str) -> Iterator[None]:
    """A server that runs until the block ends, from when it answers at `ready`."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env={**os.environ, **environment}
        )
        try:
            until = time.monotonic() + UP_WITHIN_S
            while not answers(ready):
                if process.poll() is not None or time.monotonic() > until:
                    said.seek(0)
                    sys.exit(f"{command[0]} did not come up:\n{said.read().decode()}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(30)


def answers(url: str) -> bool:
    """Whether a server answers there."""
    try:
        return httpx.get(url, timeout=2, follow_redirects=True).is_success
    except httpx.TransportError:
        return False


@contextmanager
def lens(directory: Path) -> Iterator[str]:
    """A `primus-lens serve` on an embedded PostgreSQL. Yields its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "primus_lens", "serve"]
    command += ["--port", str(port), "--data-dir", str(directory / "lens")]
    with program(command, f"{url}/readyz", PRIMUS_LENS_WANDB_HOOK="false"):
        yield url


def post(url: str, body: dict[str, object]) -> None:
    """Report to the server, as an exporter does."""
    packed = gzip.compress(json.dumps(body).encode(), 1)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    told = httpx.post(f"{url}/api/v1/wandb/metrics", content=packed, headers=headers, timeout=60)
    told.raise_for_status()


def fill(url: str, workload: str, steps: int, *, metrics: int, run: str = "r1") -> None:
    """Report a finished run of so many steps."""
    names = [f"train/metric_{n}" for n in range(metrics)]
    some = BODY_POINTS // metrics
    facts = {"name": workload, "state": "finished"}
    for first in range(0, steps, some):
        points = [
            {"name": name, "step": s, "value": value(n, s, steps), "timestamp": 1.7e9 + s / 4}
            for s in range(first, min(steps, first + some))
            for n, name in enumerate(names)
        ]
        post(url, {"workload_uid": workload, "run_id": run, "run": facts, "metrics": points})


def fresh(browser: Browser, work: Callable[[Page], float]) -> float:
    """What work gives in a window that knows nothing."""
    context = browser.new_context(viewport=DESKTOP)
    try:
        return work(context.new_page())
    finally:
        context.close()


def first_chart(browser: Browser, url: str) -> list[float]:
    """Seconds until the first chart has ink, in windows without a cache; sorted."""

    def one(page: Page) -> float:
        began = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.wait_for_function(INK, polling="raf", timeout=60_000)
        return time.perf_counter() - began

    fresh(browser, one)  # the browser's own first start is not the page's
    return sorted(fresh(browser, one) for _ in range(ROUNDS))


def weight(browser: Browser, url: str) -> float:
    """Kilobytes of page, modules and styles as they travel, without answers of the API."""
    total = 0

    def count(page: Page) -> float:
        nonlocal total
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        kinds: dict[str, str] = {}
        session.on("Network.responseReceived", lambda e: kinds.update({e["requestId"]: e["type"]}))

        def done(event: dict[str, object]) -> None:
            nonlocal total
            if kinds.get(str(event["requestId"])) in {"Document", "Script", "Stylesheet", "Image"}:
                total += int(str(event["encodedDataLength"]).split(".")[0])

        session.on("Network.loadingFinished", done)
        page.goto(url)
        page.wait_for_timeout(2500)
        return total / 1000

    return fresh(browser, count)


def processor_share(browser: Browser, url: str, seconds: float = 10) -> float:
    """Per cent of one core that the page's own process takes while nothing happens."""

    def measure(page: Page) -> float:
        page.goto(url)
        page.wait_for_timeout(4000)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")

        def busy() -> float:
            found = session.send("Performance.getMetrics")["metrics"]
            return next(each["value"] for each in found if each["name"] == "TaskDuration")

        before = busy()
        page.wait_for_timeout(seconds * 1000)
        return (busy() - before) / seconds * 100

    return fresh(browser, measure)


def say(what: str, got: str, budget: str = "", note: str = "") -> None:
    """Print a line of the table."""
    print(LINE.format(what, got, budget, note), flush=True)


def middle(times: list[float]) -> str:
    """The middle one with the worst."""
    return f"{statistics.median(times):.2f} s", f"worst {times[-1]:.2f} s"


def lengths(steps: int) -> list[int]:
    """How many steps the long runs have."""
    return sorted({min(steps, 100_000), steps})


def measure_cold(browser: Browser, url: str, steps: int) -> None:
    """The first chart of a long run."""
    for many in lengths(steps):
        uid = f"cold-{many}"
        settle(url, uid, many)
        budget = "<= 0.8 s" if many <= 100_000 else "<= 1.2 s"
        got, worst = middle(first_chart(browser, f"{url}/workloads/{uid}"))
        say(f"first chart, cold, {many:,} steps x {METRICS} metrics", got, budget, worst)


def settle(url: str, uid: str, steps: int) -> None:
    """Wait until the steps are packed, so that a later reader is measured and not the packing."""
    path = f"{url}/api/v1/workloads/{uid}/metrics/data?format=columns&max_points=1000"
    path += "&metric=train/metric_0"
    until = time.monotonic() + 20 + steps / 20_000
    best = math.inf
    while time.monotonic() < until:
        began = time.perf_counter()
        httpx.get(path, timeout=60).raise_for_status()
        took = time.perf_counter() - began
        if took < 0.06 or (took > best * 0.95 and best < 0.1):
            return
        best = min(best, took)
        time.sleep(1)


def pages_of(uid: str) -> tuple[tuple[str, str], ...]:
    """The pages by name, with a workload to show."""
    return ("fleet", "/"), ("workload", f"/workloads/{uid}"), ("compare", f"/compare?w={uid}")


def tell_frames(what: str, times: list[float]) -> None:
    """Frame times of a page that was kept busy: the middle one and the 95th of a hundred."""
    late = times[len(times) * 95 // 100]
    say(what, f"{statistics.median(times):.1f} ms", "<= 16.7 ms", f"p95 {late:.1f} ms")


def measure_weight(browser: Browser, url: str, _steps: int) -> None:
    """What a page sends before it shows anything."""
    fill(url, "weight", 100, metrics=2)
    for name, path in pages_of("weight"):
        say(f"page weight, {name}", f"{weight(browser, url + path):.0f} kB", "<= 150 kB")


def measure_zoom(browser: Browser, url: str, _steps: int) -> None:
    """Fifty runs of two thousand points in a chart, zoomed at every frame."""
    for run in range(50):
        fill(url, "fifty", 2000, metrics=1, run=f"r{run}")

    def frames(page: Page) -> float:
        page.goto(f"{url}/workloads/fifty")
        page.wait_for_function(INK, timeout=60_000)
        page.wait_for_timeout(1500)
        page.route("**/api/**", lambda route: route.abort())  # drawing alone
        times = sorted(page.evaluate(FRAMES, 240))
        tell_frames("50 runs x 2,000 points, zoom at every frame: p50", times)
        return 0.0

    fresh(browser, frames)


def measure_idle(browser: Browser, url: str, _steps: int) -> None:
    """What an open page takes while its workload is quiet."""
    fill(url, "idle", 1000, metrics=METRICS)
    for name, path in pages_of("idle"):
        say(
            f"idle page, {name}: share of a core",
            f"{processor_share(browser, url + path):.2f} %",
            "< 1 %",
        )


def measure_live(browser: Browser, url: str, _steps: int) -> None:
    """From a real wandb.log in a job with the exporter to the number on the page."""
    uid = "live-job"
    fill(url, uid, 1, metrics=1, run="before")

    def follow(page: Page) -> float:
        page.goto(f"{url}/workloads/{uid}")
        page.wait_for_timeout(3000)
        page.evaluate(
            """() => {
              window.seen = {};
              const look = () => {
                const text = document.querySelector('[data-metric="marker"] .latest')?.title ?? '';
                const n = text.match(/(\\d+)$/)?.[1];
                if (n && !(n in window.seen)) window.seen[n] = Date.now() / 1000;
                requestAnimationFrame(look);
              };
              look();
            }"""
        )
        with tempfile.TemporaryDirectory() as directory:
            script = Path(directory) / "job.py"
            script.write_text(JOB)
            environment = {
                **os.environ,
                "PRIMUS_LENS_API_BASE_URL": f"{url}/api/v1",
                "WORKLOAD_UID": uid,
                "WANDB_MODE": "offline",
                "WANDB_SILENT": "true",
                "WANDB_DIR": directory,
                "PRIMUS_LENS_WANDB_HOOK": "true",
            }
            done = subprocess.run(
                [sys.executable, str(script)],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
                cwd=directory,
                timeout=120,
            )
        page.wait_for_timeout(3000)
        logged = json.loads(done.stdout.splitlines()[-1])
        seen = page.evaluate("window.seen")
        # Several values may come with one event: a value is there once a later one is.
        shown = sorted((int(n), at) for n, at in seen.items())
        delays = sorted(
            next((there - at for m, there in shown if m >= int(n)), math.inf)
            for n, at in logged.items()
        )
        p95 = delays[min(len(delays) - 1, len(delays) * 95 // 100)]
        say(
            f"wandb.log to pixel, {len(logged)} values in {len(shown)} pictures: p95",
            f"{p95:.2f} s",
            "<= 1.5 s",
            f"p50 {statistics.median(delays):.2f} s",
        )
        return 0.0

    fresh(browser, follow)


JOB = """
import json, time
import wandb
run = wandb.init(project="live")
run.log({"marker": 0}); time.sleep(4)
at = {}
for n in range(1, 31):
    at[n] = time.time()
    run.log({"marker": n})
    time.sleep(0.7)
time.sleep(2)
run.finish()
print(json.dumps(at))
"""


def measure_board(browser: Browser, url: str, _steps: int) -> None:
    """A fleet of ten thousand: how soon it is there, and how it scrolls."""
    many = 10_000
    with httpx.Client(timeout=60) as client:
        for n in range(many):
            point = {"name": "loss", "step": 1, "value": n / many, "timestamp": time.time()}
            run = {"name": f"crowd-{n:05}", "state": "finished"}
            body = {"workload_uid": f"crowd-{n:05}", "run_id": "r", "run": run, "metrics": [point]}
            client.post(f"{url}/api/v1/wandb/metrics", json=body).raise_for_status()

    def rows(page: Page) -> float:
        began = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.locator(".board tbody th a").first.wait_for()
        took = time.perf_counter() - began
        drawn = page.locator(".board tr").count()
        say("fleet of 10,000: first row, cold", f"{took:.2f} s", "", f"{drawn} rows in the page")
        tell_frames("fleet of 10,000, scrolled: frame p50", sorted(page.evaluate(SCROLL)))
        return 0.0

    fresh(browser, rows)


BIG = """(what) => {
  const deep = root => [...root.querySelectorAll('*')]
    .flatMap(e => [e, ...(e.shadowRoot ? deep(e.shadowRoot) : [])]);
  return deep(document).some(e => {
    const {width, height} = e.getBoundingClientRect();
    return e.matches(what) && width > 120 && height > 20;
  });
}"""


def peer(browser: Browser, name: str, url: str, steps: int) -> None:
    """The same questions to somebody else's page; a chart counts once a line of it is wide."""

    def one(page: Page) -> float:
        began = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.wait_for_function(BIG, arg="svg path[d^=M], canvas", polling="raf", timeout=30_000)
        return time.perf_counter() - began

    try:
        got, worst = middle(sorted(fresh(browser, one) for _ in range(3)))
    except Error as error:  # a peer that shows nothing is a finding
        got, worst = "none", str(error).splitlines()[0][:60]
    say(f"{name}: first chart, cold, {steps:,} steps x {METRICS}", got, "", worst)
    say(f"{name}: page weight", f"{weight(browser, url):.0f} kB")
    say(f"{name}: idle page, share of a core", f"{processor_share(browser, url):.2f} %")


def measure_peers(browser: Browser, directory: Path, home: Path, steps: int) -> None:
    """TensorBoard and trackio with the same run, from a virtual environment of their own."""
    python = str(home / "bin" / "python")
    log, tracked = str(directory / "events"), str(directory / "trackio")
    alone = {"TRACKIO_DIR": tracked, "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    writing = [python, str(Path(__file__).with_name("ui_peers.py")), log, str(steps), str(METRICS)]
    subprocess.run(writing, check=True, env={**os.environ, **alone})
    url = f"http://127.0.0.1:{(port := free_port())}/"
    options = ["--logdir", log, "--port", str(port)]
    with program([str(home / "bin" / "tensorboard"), *options], url):
        time.sleep(5 + steps / 50_000)  # it reads the files in the background
        peer(browser, "TensorBoard", f"{url}#timeseries", steps)
    url = f"http://127.0.0.1:{(port := free_port())}/"
    showing = "import trackio; trackio.show('bench', open_browser=False, block_thread=True)"
    with program([python, "-c", showing], url, GRADIO_SERVER_PORT=str(port), **alone):
        peer(browser, "trackio", f"{url}?project=bench", steps)


PARTS = {
    "cold": measure_cold,
    "weight": measure_weight,
    "zoom": measure_zoom,
    "idle": measure_idle,
    "live": measure_live,
    "board": measure_board,
}


@contextmanager
def prepared(parts: list[str], steps: int) -> Iterator[Path]:
    """A directory for a server's data, the long runs in it where they are asked for."""
    with tempfile.TemporaryDirectory(prefix="lens-ui-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)  # PostgreSQL runs under an account of its own
        for many in lengths(steps) if "cold" in parts else ():
            asyncio.run(fill_long(directory / "lens", f"cold-{many}", many))
        yield directory


def main() -> None:
    """Measure the parts that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}, peers")
    parser.add_argument("--steps", type=int, default=1_000_000, help="of the long run")
    parser.add_argument(
        "--peers", type=Path, help="a virtual environment with TensorBoard and trackio"
    )
    asked = parser.parse_args()
    parts = asked.parts or [*PARTS, *(["peers"] if asked.peers else [])]
    print(LINE.format("what", "measured", "budget", ""))
    with prepared(parts, asked.steps) as directory, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        if set(parts) & set(PARTS):
            with lens(directory) as url:
                for part in parts:
                    if part in PARTS:
                        PARTS[part](browser, url, asked.steps)
        if "peers" in parts and asked.peers:
            measure_peers(browser, directory, asked.peers, min(asked.steps, PEER_STEPS))
        browser.close()


if __name__ == "__main__":
    main()
