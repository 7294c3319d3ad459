"""Primus Lens from Python: what runs reported, as plain columns, pandas or polars.

Talks HTTP to a server, nothing else; imports nothing of the server's rooms.
"""

from primus_lens.client.connection import DEFAULT_URL, LensApiError
from primus_lens.client.files import Format, Layout, PointsFile
from primus_lens.client.frames import Columns
from primus_lens.client.live import LiveEvent
from primus_lens.client.points import Point
from primus_lens.client.reading import Axis, Client

__all__ = [
    "DEFAULT_URL",
    "Axis",
    "Client",
    "Columns",
    "Format",
    "Layout",
    "LensApiError",
    "LiveEvent",
    "Point",
    "PointsFile",
]
