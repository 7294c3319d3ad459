"""The four ingest endpoints of the specification: what a training process sends arrives here.

Comes first on a point's way through the server; next is ingest/wire. Plain Starlette routes with
msgspec-typed bodies: a FastAPI endpoint costs twice as much a request, a pydantic body six times.
"""

import logging
import time
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from primus_lens.detection import rules
from primus_lens.ingest import admission, wire
from primus_lens.ingest.evidence import EvidenceIntake
from primus_lens.ingest.intake import Intake
from primus_lens.model import errors
from primus_lens.model.detections import DetectionRequest
from primus_lens.model.points import Receipt, RecordRange, Report
from primus_lens.routes import body as bodies
from primus_lens.routes import problems
from primus_lens.selfmetrics import SelfMetrics
from primus_lens.settings import LimitSettings, WandbSettings

log = logging.getLogger(__name__)  # in the specification's words, so that its advice holds

Body = bytes | msgspec.Raw
Part = Callable[[Body, RecordRange | None], Awaitable[dict[str, object]]]

PREFIX = "/api/v1/wandb"
MESSAGES: dict[str, type] = {
    "detection": DetectionRequest,
    "metrics": wire.MetricsReport,
    "logs": wire.LogsReport,
    "batch": wire.BatchReport,
}
"""The body of each endpoint, for the OpenAPI document."""


class WandbEndpoints:
    """POST /wandb/detection, /metrics, /logs and /batch."""

    def __init__(
        self,
        intake: Intake,
        evidence: EvidenceIntake,
        *,
        limits: LimitSettings,
        enabled: WandbSettings,
        counters: SelfMetrics,
    ) -> None:
        self._intake = intake
        self._evidence = evidence
        self._limits = limits
        self._counters = counters
        self._parts: dict[str, Part] = {}
        if enabled.enabled and enabled.detection_enabled:
            self._parts["detection"] = self._detection
        if enabled.enabled and enabled.metrics_enabled:
            self._parts["metrics"] = self._metrics
            self._parts["logs"] = self._logs

    def routes(self) -> list[Route]:
        """The routes of the parts that are switched on."""
        batch = {"batch": self._batch} if self._parts else {}
        return [
            Route(f"{PREFIX}/{kind}", self._endpoint(kind, part), methods=["POST"], name=kind)
            for kind, part in {**self._parts, **batch}.items()
        ]

    def _endpoint(self, kind: str, part: Part) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            self._counters.requests.labels(kind).inc()
            with self._counters.request_duration.labels(kind).time():
                try:
                    return problems.json_response(await self._received(request, part))
                except errors.LensError as error:
                    self._counters.request_failed(kind, error.code)
                    raise

        return endpoint

    async def _received(self, request: Request, part: Part) -> dict[str, object]:
        bodies.refuse_other_than_json(request)
        key = request.headers.get("idempotency-key")
        records = None if key is None else wire.record_range(key)
        with self._intake.room(bodies.declared_length(request, self._limits)) as take:
            return await part(await bodies.read_json_bytes(request, self._limits, take), records)

    async def _detection(self, body: Body, _: RecordRange | None) -> dict[str, object]:
        log.debug("[WandB Detection API] Received request")
        receipt, detection = await self._evidence.take(wire.decode(DetectionRequest, body))
        if detection:
            # A framework nobody knows has the name its sender gave it, and such are without number.
            known = detection.framework in rules.BY_NAME
            labels = (detection.framework if known else "other", detection.method)
            self._counters.detections.labels(*labels).inc()
            self._counters.detection_confidence.labels(*labels).observe(detection.confidence)
        else:
            self._counters.detection_errors.inc()
        return _answer("detection", 1, receipt)

    async def _metrics(self, body: Body, records: RecordRange | None) -> dict[str, object]:
        # The message goes once its rows are made: the rows wait for their commit, it need not.
        report = admission.admit_metrics(
            wire.decode(wire.MetricsReport, body),
            size_bytes=len(bytes(body)),
            now=time.time(),
            records=records,
        )
        self._counters.metrics_data_points.inc(report.points)
        receipt = await self._stored(report)
        self._counters.metrics_stored.inc(report.points)
        log.debug("[WandB Metrics API] Processing metrics for %d workload(s)", receipt.workloads)
        log.debug("✓ WandB metrics stored to MetricsStorage: %d success", report.points)
        return _answer("metrics", report.points, receipt)

    async def _logs(self, body: Body, records: RecordRange | None) -> dict[str, object]:
        report = admission.admit_logs(
            wire.decode(wire.LogsReport, body),
            size_bytes=len(bytes(body)),
            now=time.time(),
            records=records,
        )
        self._counters.logs_data_points.inc(report.points)
        receipt = await self._stored(report)
        whose = report.sender.workload_uid or report.sender.pod_name or report.sender.pod_uid
        log.debug("✓ Updated WandB training data for workload %s", whose)
        return _answer("training data", report.points, receipt)

    async def _stored(self, report: Report) -> Receipt:
        try:
            receipt = await self._intake.store(report)
        except errors.LensError as error:
            self._counters.metrics_store_errors.inc(report.points)
            self._counters.save_errors.labels(error.code).inc()
            raise
        self._counters.saves.inc()
        return receipt

    async def _batch(self, body: Body, records: RecordRange | None) -> dict[str, object]:
        """Every part stands alone: one that fails neither stops nor undoes the others."""
        parts = wire.decode_parts(body)
        results = {
            kind: await self._batch_part(kind, part, records) for kind, part in parts.items()
        }
        success = all(each["success"] for each in results.values())
        if not success:  # one request, one error, however many of its parts failed
            self._counters.request_errors.labels("batch").inc()
        return {"success": success, "results": results}

    async def _batch_part(
        self, kind: str, given: msgspec.Raw, records: RecordRange | None
    ) -> dict[str, object]:
        if kind not in self._parts:
            return {"success": False, "error": f"{kind} reports are switched off"}
        try:
            own = None if records is None else wire.records_of_part(records, kind)
            answer = await self._parts[kind](given, own)
        except errors.LensError as error:
            self._counters.request_error_reasons.labels("batch", error.code).inc()
            failed: dict[str, object] = {"success": False, "error": error.message}
            if isinstance(error, errors.PartlyKnown):
                failed["accepted"] = error.accepted
            return {**failed, "detail": error.detail} if error.detail else failed
        told = ("pending", "replayed", "tell_run")
        kept = {name: answer[name] for name in told if name in answer}
        return {
            "success": True,
            **({} if kind == "detection" else {"count": answer["count"]}),
            **kept,
        }


def _answer(what: str, count: int, receipt: Receipt) -> dict[str, object]:
    """The specification's answer. success_count: those stored, which is none while pending."""
    answer: dict[str, object] = {
        "message": f"{what} reported successfully",
        "count": count,
        "workloads_count": receipt.workloads,
        "success_count": 0 if receipt.pending else count,
    }
    if receipt.pending:
        answer["pending"] = True
    if receipt.replayed:
        answer["replayed"] = True
    if receipt.tell_run:
        answer["tell_run"] = True
    return answer
