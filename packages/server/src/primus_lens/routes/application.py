"""The ASGI application: routes, pages and how errors are told. Joins nothing; assembly does."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute

import primus_lens
from primus_lens.model import errors
from primus_lens.routes import openapi, problems, wandb_v1
from primus_lens.routes.access import AccessCheck
from primus_lens.routes.host_check import LoopbackHostCheck
from primus_lens.store.tokens import TokenBook


def application(
    *,
    routers: Sequence[APIRouter],
    routes: Sequence[BaseRoute],
    open_routes: Sequence[BaseRoute] = (),
    book: TokenBook | None,
    loopback_only: bool,
) -> FastAPI:
    """An application that answers these routes.

    routes: plain Starlette ones, the ingest endpoints. open_routes: the pages and the sign-in,
    for which nobody is asked for a token. book: the tokens; None where none is needed.
    loopback_only: refuse requests that name another host than this machine's loopback.
    """
    app = FastAPI(
        title="Primus Lens",
        version=primus_lens.__version__,
        summary="What every training job of a fleet logs to Weights & Biases.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    # Routes are compared one after another: behind the readers' some forty, a report of 100 points
    # cost the server a quarter more.
    app.router.routes[:0] = routes
    for router in routers:
        app.include_router(router)
    app.router.routes.extend(open_routes)
    app.add_exception_handler(errors.LensError, problems.on_lens_error)
    app.add_exception_handler(RequestValidationError, _on_bad_query)
    app.add_exception_handler(HTTPException, problems.on_http_exception)
    app.add_exception_handler(Exception, problems.on_defect)
    # Level 1: a third of the bytes of a chart's columns for a few milliseconds.
    app.add_middleware(GZipMiddleware, minimum_size=4096, compresslevel=1)
    if book is not None:
        app.add_middleware(AccessCheck, book=book, open_routes=open_routes)
    if loopback_only:
        app.add_middleware(LoopbackHostCheck)
    paths = {getattr(route, "path", "") for route in routes}
    bodies = {f"{wandb_v1.PREFIX}/{kind}": body for kind, body in wandb_v1.MESSAGES.items()}
    served = {path: body for path, body in bodies.items() if path in paths}
    openapi.describe(app, served, with_tokens=book is not None)
    return app


async def _on_bad_query(_: Request, error: Exception) -> Response:
    """FastAPI's refusal of a reader's parameter, in our words."""
    if not isinstance(error, RequestValidationError):  # only registered for it
        raise error
    detail = [
        errors.FieldProblem(str(each["loc"][-1]), each.get("input"), each["msg"])
        for each in error.errors()
    ]
    first = detail[0]
    return problems.response(
        errors.BadQuery(f'{first.field} is "{first.got}": {first.allowed}', detail)
    )
