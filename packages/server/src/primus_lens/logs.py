"""One line a record on stderr: time, level, logger, phrase, then its fields as name=value."""

import logging
import sys
import time

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
# A name that a sender chose must not begin a line of its own.
_CONTROLS = {place: f"\\x{place:02x}" for place in (*range(0x20), *range(0x7F, 0xA0))} | {
    place: f"\\u{place:04x}" for place in (0x2028, 0x2029)
}
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}


class FieldFormatter(logging.Formatter):
    """Fields that a call passed as `extra` follow the phrase. Times are UTC."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line without its traceback."""
        fields = {name: value for name, value in vars(record).items() if name not in _OWN}
        told = "".join(f" {name}={value}" for name, value in fields.items())
        return (super().formatMessage(record) + told).translate(_CONTROLS)


def configure(level: str) -> None:
    """Send the service's own log to stderr. level: debug, info, warn or error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter())
    logging.basicConfig(level=_LEVELS[level], handlers=[handler], force=True)
