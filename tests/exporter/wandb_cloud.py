"""A small stand-in for api.wandb.ai: enough for real wandb to run with WANDB_MODE=online.

It keeps what wandb-core sends. The lines of `wandb-history.jsonl` are the rows as W&B would show
them: a second oracle, beside the local `.wandb` file, and the only one for a resumed run as a
whole. Checked against wandb 0.31; a GraphQL operation it does not know is answered with an error,
as a server older than the client would, and kept in `unknown`.
"""

import contextlib
import gzip
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import oracle

ENTITY = "team"
FILE_STREAM, GRAPHQL = "/file_stream", "/graphql"
SHOWN = ("summaryMetrics", "displayName", "config", "tags", "notes")


class CloudRun:
    """One run as the cloud has it. lines: of each streamed file; files: what was uploaded."""

    def __init__(self, name: str, project: str) -> None:
        self.name, self.project = name, project
        self.lines: dict[str, list[str]] = {}
        self.files: dict[str, bytes] = {}
        self.said: dict[str, Any] = {}  # UpsertBucket's variables, later ones over earlier ones
        self.exit_code: int | None = None

    def lay(self, file: str, offset: int, content: list[str]) -> None:
        """Lay lines over those from offset on: what is sent again changes nothing."""
        lines = self.lines.setdefault(file, [])
        assert offset <= len(lines), f"{file} has {len(lines)} lines, then comes line {offset}"
        lines[offset : offset + len(content)] = content

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows, as wandb sent them."""
        return [json.loads(line) for line in self.lines.get("wandb-history.jsonl", [])]

    def rows(self) -> dict[int, dict[str, Any]]:
        """Return step -> name -> number of each row, as `oracle.rows` does."""
        found: dict[int, dict[str, Any]] = {}
        for row in self.history:
            assert row["_step"] not in found, f"step {row['_step']} came twice"
            found[row["_step"]] = {
                path: number
                for name, value in row.items()
                if name not in oracle._INTERNAL
                for path, number in oracle._numbers(name, value)
            }
        return {step: row for step, row in found.items() if row}

    def bucket(self) -> dict[str, Any]:
        """Return what GraphQL calls a bucket: the run, with all that resuming needs."""
        lines = {name: self.lines.get(f"wandb-{name}.jsonl", []) for name in ("history", "events")}
        summary = self.lines.get("wandb-summary.json", [None])[-1]
        config = json.loads(self.said.get("config") or "{}")
        started = {"t": config.get("_wandb", {}).get("value", {}).get("t", {})}
        return {
            "id": f"id-{self.name}",
            "name": self.name,
            "description": "",
            "sweepName": None,
            **{name: self.said.get(name) for name in SHOWN},
            "summaryMetrics": summary,
            "wandbConfig": json.dumps(started),
            "project": {
                "id": "id-project",
                "name": self.project,
                "entity": {"id": "id-entity", "name": ENTITY},
            },
            "logLineCount": len(self.lines.get("output.log", [])),
            "historyLineCount": len(lines["history"]),
            "eventsLineCount": len(lines["events"]),
            "historyTail": json.dumps(lines["history"][-1:]),
            "eventsTail": json.dumps(lines["events"][-1:]),
        }


class WandbCloud:
    """A server on a free local port.

    answer: called with the path of each request; None serves it, a number is the status it is
    refused with, "stall" says nothing until `release` is set and then serves it. refused: how many
    requests were not served at once. unknown: operations and paths it has no answer to, and what
    went wrong in answering.
    """

    def __init__(self) -> None:
        self.answer: Any = lambda _path: None
        self.runs: dict[str, CloudRun] = {}
        self.unknown: list[str] = []
        self.refused = 0
        self.release = threading.Event()
        self._changed = threading.Condition()
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits 40 ms for a delayed ACK

            def do_POST(self) -> None:
                cloud._serve(self)

            def do_PUT(self) -> None:
                cloud._serve(self)

            def log_message(self, *args: Any) -> None:
                """Keep the test's output clean."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_args: Any) -> None:
                """Keep what we failed at; a client that ends mid-request is part of the tests."""
                error = sys.exc_info()[1]
                if not isinstance(error, OSError):
                    cloud.unknown.append(repr(error))

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if handler.headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        path = urlsplit(handler.path).path
        with self._changed:
            answer = self.answer(path)
            self.refused += answer is not None
            self._changed.notify_all()
        if answer == "stall":
            self.release.wait(60)
            answer = None
        with self._changed:
            status, body = (answer, {}) if answer else (200, self._take(path, raw))
            self._changed.notify_all()
        data = json.dumps(body).encode()
        with contextlib.suppress(OSError):
            handler.send_response(status)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)

    def _take(self, path: str, raw: bytes) -> dict[str, Any]:
        if path == GRAPHQL:
            asked = json.loads(raw)
            return self._graphql(asked["operationName"], asked.get("variables") or {})
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if path.endswith(FILE_STREAM):
            self._stream(self.runs[parts[3]], json.loads(raw))
        elif parts[0] == "upload":
            self.runs[parts[1]].files["/".join(parts[2:])] = raw
        else:
            self.unknown.append(path)
        return {}

    def _stream(self, run: CloudRun, said: dict[str, Any]) -> None:
        for name, part in said.get("files", {}).items():
            if name == "wandb-summary.json":
                run.lines[name] = part["content"]
            else:
                run.lay(name, part["offset"], part["content"])
        if said.get("complete"):
            run.exit_code = said["exitcode"]

    def _graphql(self, operation: str, said: dict[str, Any]) -> dict[str, Any]:
        answers = {
            "Viewer": self._viewer,
            "UpsertBucket": self._upsert,
            "RunResumeStatus": self._resume_status,
            "RewindRun": self._rewind,
            "CreateRunFiles": self._run_files,
            "OrganizationCoreWeaveOrganizationID": lambda _: {"entity": None},
            "ServerFeaturesQuery": lambda _: {"serverInfo": {"features": []}},
        }
        if operation not in answers:
            self.unknown.append(operation)
            return {"data": None, "errors": [{"message": f"no field for {operation}"}]}
        return {"data": answers[operation](said)}

    def _viewer(self, _said: dict[str, Any]) -> dict[str, Any]:
        teams: dict[str, Any] = {"edges": []}
        viewer = {"id": "id-user", "entity": ENTITY, "username": "user", "flags": "{}"}
        return {"viewer": {**viewer, "email": "user@example.com", "teams": teams}}

    def _upsert(self, said: dict[str, Any]) -> dict[str, Any]:
        name = said["name"] or said["id"].removeprefix("id-")
        inserted = name not in self.runs
        run = self.runs.setdefault(name, CloudRun(name, said["project"]))
        run.said.update({key: value for key, value in said.items() if value is not None})
        return {"upsertBucket": {"bucket": run.bucket(), "inserted": inserted}}

    def _resume_status(self, said: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(said["name"])
        project = {
            "id": "id-project",
            "name": said["project"],
            "entity": {"id": "id-entity", "name": ENTITY},
        }
        return {"model": {**project, "bucket": run and run.bucket()}}

    def _rewind(self, said: dict[str, Any]) -> dict[str, Any]:
        """Forget the rows behind a step."""
        run = self.runs[said["runName"]]
        kept = [row for row in run.history if row["_step"] <= said["metricValue"]]
        run.lines["wandb-history.jsonl"] = [json.dumps(row) for row in kept]
        return {"rewindRun": {"rewoundRun": run.bucket()}}

    def _run_files(self, said: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.url}/upload/{said['run']}"
        files = [{"name": name, "uploadUrl": f"{url}/{name}"} for name in said["files"]]
        ticket = {"runID": f"id-{said['run']}", "uploadHeaders": [], "files": files}
        return {"createRunFiles": ticket}

    def wait_for(self, condition: Any, timeout_s: float = 30.0) -> None:
        """Wait until condition(cloud) holds; AssertionError when it does not in time."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), timeout_s), self.unknown

    def close(self) -> None:
        """Stop serving."""
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(5)
