"""/metrics/training beside the service's own metrics, on the port that Prometheus scrapes.

That port has threads of its own, which ask the event loop; query/training_metrics answers.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CONTENT_TYPE_LATEST

from primus_lens.model import errors

log = logging.getLogger(__name__)

PATH = "/metrics/training"
_WITHIN_S = 9.0  # Prometheus gives up a scrape after ten seconds

Ask = Callable[[], Coroutine[Any, Any, bytes]]


def beside(
    app: WSGIApplication, ask: Ask | None, loop: asyncio.AbstractEventLoop
) -> WSGIApplication:
    """An application that answers PATH by what `ask` gives in the loop, all else as before.

    ask: None where it is switched off; then PATH is 404.
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            return app(environ, start_response)
        if ask is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"switched off; metrics.prometheus.training switches it on\n"]
        try:
            content = asyncio.run_coroutine_threadsafe(ask(), loop).result(_WITHIN_S)
        except (errors.LensError, TimeoutError) as error:
            log.warning("running workloads are not told", extra={"reason": str(error)})
            start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"the database does not answer\n"]
        start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
        return [content]

    return answer
