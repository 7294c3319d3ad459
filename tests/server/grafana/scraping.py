"""A real Prometheus of Debian's package that scrapes a test's server and answers PromQL."""

import contextlib
import shutil
import subprocess
import time

import httpx
import yaml
from serving import free_port

PROGRAMS = {name: shutil.which(name) for name in ("prometheus", "promtool")}
MISSING = "needs Debian's package prometheus, which .ci/run installs"
WITHIN_S = 60


class Prometheus:
    """A Prometheus process: scrapes every quarter second, keeps its data in a folder."""

    def __init__(self, folder, targets):
        self.url = f"http://127.0.0.1:{free_port()}"
        jobs = [
            {
                "job_name": job,
                "metrics_path": path,
                "static_configs": [{"targets": [target]}],
            }
            for job, path, target in targets
        ]
        often = {"scrape_interval": "250ms", "scrape_timeout": "250ms"}
        folder.mkdir()
        (folder / "prometheus.yml").write_text(
            yaml.safe_dump({"global": often, "scrape_configs": jobs})
        )
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    PROGRAMS["prometheus"],
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdout=log,
                stderr=log,
            )

    def values(self, query):
        """The samples of an instant query, as text; none before the first scrape."""
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.post(f"{self.url}/api/v1/query", data={"query": query}, timeout=30)
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                return []  # it is starting
            assert answer.status_code == httpx.codes.OK, f"{query}: {answer.text}"
            return [sample["value"][1] for sample in answer.json()["data"]["result"]]
        return []

    def told(self, query, enough=bool):
        """The samples as soon as there are enough; whatever there is after a minute."""
        deadline = time.monotonic() + WITHIN_S
        while not enough(found := self.values(query)) and time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)  # between two looks, and at once if it dies
        return found

    def stop(self):
        """End it."""
        self.process.terminate()
        self.process.wait(WITHIN_S)
