"""Seventh room: one POST, one verdict. Never raises to say what became of it."""

import base64
import functools
import http.client
import io
import json
import ssl
import time
import urllib.parse
import urllib.request
import zlib
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Optional

from primus_lens_wandb_exporter import __version__, _errors, _settings

ACCEPTED, RETRY, SPLIT, POISON, DROP, KNOWN = (
    "accepted",
    "retry",
    "split",
    "poison",
    "drop",
    "known",
)

TIMEOUT_S = 10.0  # a server whose answer is not whole by then is treated as absent
_GZIP_FROM = 1024  # smaller bodies fit one packet anyway
_ANSWER_LIMIT = 1 << 20
_BY_STATUS = {409: KNOWN, 413: SPLIT, 400: POISON, 422: POISON, 415: DROP}


class Verdict(NamedTuple):
    """What became of one POST.

    kind: ACCEPTED forget it; RETRY keep it and back off; SPLIT send it in parts; POISON a record in
    it is bad; DROP it can never be taken; KNOWN the server has the records in `known`. tell_run:
    taken, but what was told of the run before is not there any more.
    """

    kind: str
    status: int = 0
    retry_after_s: float = 0.0
    known: tuple[tuple[int, int], ...] = ()
    said: str = ""
    tell_run: bool = False


class _Answer(http.client.HTTPResponse):
    """An answer that has to be whole by a time, however slowly its bytes trickle in."""

    def __init__(self, whole_by: float, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: Any = io.BufferedReader(_Bytes(self.fp.detach(), sock, whole_by))


class _Bytes(io.RawIOBase):
    """The bytes of a socket until a time; without it each byte would start the time limit anew."""

    def __init__(self, raw: Any, sock: Any, until: float) -> None:
        self._raw, self._sock, self._until = raw, sock, until

    def readable(self) -> bool:
        """Say that they can be read."""
        return True

    def readinto(self, buffer: Any) -> Any:
        """Read what is there; raises TimeoutError when the time is over."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not whole in time")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()


class Transport:
    """A kept-alive connection to one server, used by one thread.

    open_until: a monotonic time after which no request may still be waiting (set at exit).
    """

    def __init__(self, base_url: str, settings: _settings.Settings) -> None:
        self.base_url = base_url
        self.open_until: Optional[float] = None
        self._settings = settings
        self._url = urllib.parse.urlsplit(base_url)
        self._connection: Optional[http.client.HTTPConnection] = None

    def post(self, path: str, body: bytes, key: str = "") -> Verdict:
        """Post one JSON body; key is its Idempotency-Key, "" for none."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"primus-lens-wandb-exporter/{__version__}",
        }
        if key:
            headers["Idempotency-Key"] = key
        if len(body) >= _GZIP_FROM:
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)  # 31: the gzip container
            body = packer.compress(body) + packer.flush()
            headers["Content-Encoding"] = "gzip"
        for fresh in (False, True):
            kept = self._connection is not None and not fresh
            try:
                return self._exchange(path, body, headers)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()
                _errors.tell("post", f"{self.base_url}{path}: {error}")
                if kept and isinstance(error, (http.client.HTTPException, ConnectionError)):
                    continue  # the server had closed the idle connection: that says nothing yet
                return Verdict(RETRY, said=str(error))
        return Verdict(RETRY)

    def _exchange(self, path: str, body: bytes, headers: dict[str, str]) -> Verdict:
        connection = self._connected()
        token = self._token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        proxy = self._proxy() if self._url.scheme == "http" else None
        to, shown = (self.base_url, _credentials(proxy)) if proxy else (self._url.path, {})
        connection.request("POST", to + path, body, {**headers, **shown})
        answer = connection.getresponse()
        text = answer.read(_ANSWER_LIMIT)
        if not answer.isclosed() or answer.will_close:
            self.close()
        return _verdict(answer.status, answer.headers.get("Retry-After", ""), text)

    def _connected(self) -> http.client.HTTPConnection:
        left = TIMEOUT_S
        if self.open_until is not None:
            left = min(left, self.open_until - time.monotonic())
            if left <= 0:
                raise TimeoutError("no time left before exit")
        if self._connection is None:
            self._connection = self._new_connection(left)
        self._connection.timeout = left
        whole_by = time.monotonic() + left
        self._connection.response_class = functools.partial(_Answer, whole_by)  # type: ignore[assignment]  # what is called as the class is
        if self._connection.sock is not None:
            self._connection.sock.settimeout(left)
        return self._connection

    def _new_connection(self, timeout_s: float) -> http.client.HTTPConnection:
        url, proxy = self._url, self._proxy()
        first = proxy or url
        options: dict[str, Any] = {"timeout": timeout_s}
        if url.scheme == "https":
            options["context"] = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                first.hostname or "", first.port, **options
            )
            if proxy:
                connection.set_tunnel(url.hostname or "", url.port or 443, _credentials(proxy))
            return connection
        return http.client.HTTPConnection(first.hostname or "", first.port, **options)

    def _proxy(self) -> Optional[urllib.parse.SplitResult]:
        if not self._settings.use_proxy or urllib.request.proxy_bypass(self._url.hostname or ""):
            return None
        found = urllib.request.getproxies().get(self._url.scheme)
        return urllib.parse.urlsplit(found) if found else None

    def _token(self) -> str:
        token = self._settings.token
        if self._settings.token_file:
            with open(self._settings.token_file, encoding="utf-8") as file:
                token = file.read().strip()
        # http.client would refuse it too, and quote it in the error that we tell.
        if not (token.isascii() and token.isprintable()):
            raise ValueError("the token has a line break or another character no header can hold")
        return token

    def close(self) -> None:
        """Close the connection; the next post opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _credentials(proxy: urllib.parse.SplitResult) -> dict[str, str]:
    """Return the header for a proxy that asks who we are; none when its address names nobody."""
    if proxy.username is None:
        return {}
    named = f"{proxy.username}:{proxy.password or ''}"
    coded = base64.b64encode(urllib.parse.unquote_to_bytes(named)).decode()
    return {"Proxy-Authorization": f"Basic {coded}"}


def _verdict(status: int, retry_after: str, text: bytes) -> Verdict:
    said = text[:500].decode("utf-8", "replace")
    if 200 <= status < 300:  # noqa: PLR2004 - success, as HTTP says
        # A page for people is no receipt: what is logged in to first answers so, whatever it got.
        is_page = text.lstrip().startswith(b"<")
        if is_page:
            return Verdict(RETRY, status, said=said)
        return Verdict(ACCEPTED, status, tell_run=b'"tell_run"' in text)
    kind = _BY_STATUS.get(status, RETRY)
    if kind == KNOWN:
        known = _known(text)
        return Verdict(KNOWN if known else RETRY, status, known=tuple(known), said=said)
    return Verdict(kind, status, _seconds(retry_after), said=said)


def _known(text: bytes) -> list[tuple[int, int]]:
    try:
        ranges = json.loads(text)["accepted"]
        return [(int(first), int(last)) for first, last in ranges]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return []


def _seconds(retry_after: str) -> float:
    """Read Retry-After, seconds or a date; an hour at most, 0 when it says nothing usable."""
    if retry_after.strip().isdecimal():
        return min(float(retry_after), 3600.0)
    try:
        return min(max(parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0), 3600.0)
    except (TypeError, ValueError):
        return 0.0
