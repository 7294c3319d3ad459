"""One server over HTTP: its address, its token, its errors in its own words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

DEFAULT_URL = "http://127.0.0.1:8080"
Parameters = Sequence[tuple[str, str | int | float]]

_NOT_MODIFIED = 304


class LensApiError(Exception):
    """The server refused, or could not be reached.

    message: the server's sentence. status: of HTTP, None when there was no answer. code: the
    server's word for the error, "" when it gave none. accepted: with status 409, the ranges of
    records that are stored already. retry_after_s: when to ask again, where the server said so.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        accepted: Sequence[tuple[int, int]] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.accepted = accepted
        self.retry_after_s = retry_after_s


class Connection:
    """Requests to one server. url: without /api/v1. Close it, or use it in a with statement."""

    def __init__(self, url: str, token: str | None, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise LensApiError(f'"{url}" is no address of a server; write http://host:port')
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            self._http = httpx.Client(
                base_url=f"{self.url}/api/v1", headers=headers, timeout=timeout_s
            )
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise LensApiError(f"the address or the token cannot be used: {error}") from error

    def close(self) -> None:
        """Give the sockets back."""
        self._http.close()

    def get(self, path: str, parameters: Parameters = ()) -> Any:  # noqa: ANN401 - any JSON
        """The JSON answer of a path below /api/v1. Raises LensApiError."""
        with self.stream(path, parameters) as answer:
            return msgspec.json.decode(answer.read())

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Any:  # noqa: ANN401
        """The JSON answer to a JSON body. Raises LensApiError."""
        with self._told_in_words():
            answer = self._http.post(
                path, content=body, headers={"Content-Type": "application/json", **headers}
            )
            _refuse_errors(answer)
            return msgspec.json.decode(answer.content)

    @contextmanager
    def stream(
        self, path: str, parameters: Parameters = (), headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """The answer of a path, its body not yet read. Raises LensApiError."""
        with (
            self._told_in_words(),
            self._http.stream("GET", path, params=list(parameters), headers=headers) as answer,
        ):
            if not answer.is_success:
                answer.read()
            _refuse_errors(answer)
            yield answer

    @contextmanager
    def _told_in_words(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise LensApiError(f"{self.url} did not answer in time") from error
        except httpx.ConnectError as error:
            raise LensApiError(f"{self.url} cannot be reached: {error}") from error
        except httpx.HTTPError as error:
            raise LensApiError(f"{self.url} broke off: {error}") from error
        except msgspec.DecodeError as error:
            raise LensApiError(f"{self.url} does not speak like Primus Lens: {error}") from error


def workload_path(uid: str, rest: str = "") -> str:
    """The path of a workload below /api/v1; a uid may hold slashes."""
    return f"/workloads/{quote(uid, safe='/')}{rest}"


def _refuse_errors(answer: httpx.Response) -> None:
    if not (answer.is_error or answer.is_redirect) or answer.status_code == _NOT_MODIFIED:
        return
    try:
        said = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        said = None
    document = said if isinstance(said, dict) else {}
    sentence = document.get("error") or f"{answer.url} answered {answer.status_code}"
    waits = answer.headers.get("retry-after", "")
    raise LensApiError(
        str(sentence),
        status=answer.status_code,
        code=str(document.get("code", "")),
        accepted=[(first, last) for first, last in document.get("accepted", ())],
        retry_after_s=float(waits) if waits.isdigit() else None,
    )
