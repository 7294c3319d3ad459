"""Points, rows and the reports they arrive in, after the edge has checked them."""

from collections.abc import Mapping, Sequence
from typing import Any, NewType

import msgspec

WorkloadUid = NewType("WorkloadUid", str)
RunId = NewType("RunId", str)

IMPORT_STREAM = "import-"
"""How the names of streams begin by which files are imported; such may always be told again."""


class Sender(msgspec.Struct, frozen=True):
    """Whose report it is: a workload, a pod, or both. At least one of the two is not empty."""

    workload_uid: str = ""
    pod_uid: str = ""
    pod_name: str = ""
    namespace: str = ""


def same(old: Any, new: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether two JSON values are the same value; 1 and true are not."""
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


class Row(msgspec.Struct, frozen=True):
    """What one report says about one step of one run.

    step: as wandb numbered it, from 0. at: Unix seconds of the step's first point, UTC.
    metrics: by name as the job gave it. times: Unix seconds of the metrics logged at another time.
    """

    run_id: RunId
    data_source: str
    step: int
    at: float
    metrics: dict[str, Any]
    times: dict[str, float]


class PlacedRow(msgspec.Struct, frozen=True):
    """A row with the workload and the run's serial it is stored under.

    at_ours: when it was logged by the server's clock, Unix seconds; tells what is newest.
    """

    workload_uid: WorkloadUid
    serial: int
    pod_uid: str
    row: Row
    at_ours: float


class RecordRange(msgspec.Struct, frozen=True):
    """Which numbered records of a stream a request carries, both ends included."""

    stream: str
    first: int
    last: int


class Gap(msgspec.Struct, frozen=True):
    """Records a stream lost for good. points: how many numbers they held, 0 if not known."""

    first: int
    last: int
    reason: str
    points: int = 0


class Report(msgspec.Struct, frozen=True):
    """One request's worth of rows, checked and stamped, ready to be stored.

    size_bytes: of the body it came in, for bounding what waits. run_facts and definitions: as the
    wire carried them. points: how many the sender counts. behind_s: by how much the sender's clock
    is behind the server's.
    """

    sender: Sender
    rows: Sequence[Row]
    points: int
    size_bytes: int
    records: RecordRange | None = None
    run_id: RunId = RunId("")
    data_source: str = "wandb"
    run_facts: Mapping[str, Any] = msgspec.field(default_factory=dict)
    definitions: Sequence[Mapping[str, Any]] = ()
    gaps: Sequence[Gap] = ()
    behind_s: float = 0.0


class Receipt(msgspec.Struct, frozen=True):
    """What became of a report once it was committed.

    workloads: how many it was stored to. pending: kept until its pod is known. replayed: all of its
    records were known, nothing changed. tell_run: what its stream told of the run before is not
    there any more.
    """

    workloads: int
    pending: bool = False
    replayed: bool = False
    tell_run: bool = False
