"""The configuration: typed groups, read once from a YAML file, ${VAR} taken from the environment.

Every room receives its own group, never the whole. Unknown keys are refused with their place.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from primus_lens.model import errors

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=2**62)]


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the configuration file."""


class ServerSettings(Group, frozen=True):
    """Where the service listens.

    host: an address of this machine; loopback by default, since a service without tokens is for
    this machine alone. port: 0 lets the system choose.
    """

    host: str = "127.0.0.1"
    port: Port = 8080


class AccessSettings(Group, frozen=True):
    """Who may ask. required: ask for tokens even on loopback; any other address asks anyway."""

    required: bool = False


class DatabaseSettings(Group, frozen=True):
    """Which PostgreSQL holds the data.

    host: of an external PostgreSQL (14 or newer); empty means the embedded one. dsn: instead of
    host, port, database, user and password. data_directory: of the embedded one; empty means
    /var/lib/primus-lens for root, else ~/.local/share/primus-lens. pool_size: connections at most.
    embedded_settings: postgresql.conf entries for the embedded server.
    """

    host: str = ""
    port: Port = 5432
    database: str = "primus_lens"
    user: str = "lens"
    password: str = ""
    dsn: str = ""
    data_directory: str = ""
    pool_size: AtLeastOne = 8
    embedded_settings: dict[str, str] = {}


class WandbSettings(Group, frozen=True):
    """Which reports are taken. A part that is switched off answers 404."""

    enabled: bool = True
    detection_enabled: bool = True
    metrics_enabled: bool = True


class PrometheusSettings(Group, frozen=True):
    """The service's own metrics, on a port of their own. host: empty means the server's.

    training: also serve the newest values of running workloads, at /metrics/training.
    training_series: of them at most, those of the runs heard last.
    """

    enabled: bool = True
    host: str = ""
    port: Port = 9090
    training: bool = False
    training_series: AtLeastOne = 10_000


class MetricsSettings(Group, frozen=True):
    """Metrics about the service itself."""

    prometheus: PrometheusSettings = PrometheusSettings()


class PodWatchSettings(Group, frozen=True):
    """Following a Kubernetes cluster's pods, so that pod_cache fills by itself.

    api: the API server; empty means that of the cluster this is a pod of. namespace: only this one;
    empty means all. label, annotation: names the workload of a pod; an annotation may name several,
    separated by commas. token_file, ca_file: the service account's.
    """

    enabled: bool = False
    api: str = ""
    namespace: str = ""
    label: str = "primus-lens.io/workload-uid"
    annotation: str = ""
    token_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
    ca_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"


class WorkloadSettings(Group, frozen=True):
    """unknown_pods: keep (until the pod is seen) or reject reports of pods nobody has seen."""

    unknown_pods: Literal["keep", "reject"] = "keep"
    pod_watch: PodWatchSettings = PodWatchSettings()


class LimitSettings(Group, frozen=True):
    """Bounds on what one request and all waiting requests may take.

    body_bytes: as sent. inflated_bytes: after gzip or zstd. inflated_ratio: inflated to sent, over
    the first mebibyte. pending_bytes: memory of all requests not yet committed, six times their
    text; over it senders get a 503. headers, header_bytes: how many, how long together. header_s,
    body_s: how long a request's may take to come. connections: open at a time; more get a 503.
    """

    body_bytes: AtLeastOne = 8 << 20
    inflated_bytes: AtLeastOne = 32 << 20
    inflated_ratio: AtLeastOne = 100
    pending_bytes: AtLeastOne = 128 << 20
    headers: AtLeastOne = 100
    header_bytes: AtLeastOne = 32 << 10
    header_s: Positive = 10.0
    body_s: Positive = 30.0
    connections: AtLeastOne = 8192


class CompactionSettings(Group, frozen=True):
    """Columnar chunks, made in the background. every_s: between two looks for settled steps."""

    every_s: Positive = 5.0


Term = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([0-9]{1,6}[mhdw])?$",
        description='a time such as "90d" (m, h, d or w), or empty for ever',
    ),
]


class RetentionSettings(Group, frozen=True):
    """What is given up after a time, as in 90d (m, h, d, w); empty keeps it for ever.

    rows: of steps that stand in chunks, counted from their last change. workloads: since anything
    was heard of them. parked: reports of pods that do not appear. streams: which records of a
    silent stream are stored; at least 7d. every_s: between two looks.
    """

    rows: Term = ""
    workloads: Term = ""
    parked: Term = "30d"
    streams: Term = ""
    every_s: Positive = 300.0


_UNIT_S = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def seconds(term: str) -> float | None:
    """A term in seconds; None for ever."""
    return float(int(term[:-1]) * _UNIT_S[term[-1]]) if term else None


Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]  # of points: some are kept for each series
Glob = Annotated[str, msgspec.Meta(max_length=255, pattern="^[^\\x00]*$")]
Globs = Annotated[tuple[Glob, ...], msgspec.Meta(max_length=100)]


class Nonfinite(Group, frozen=True):
    """When NaN and infinities are an alert.

    metrics: globs of the names that are looked at; a loss is always looked at. lasting: points in a
    row, of a metric that is no loss and has been finite before; one is enough for a loss. clear:
    finite points until it is over.
    """

    enabled: bool = True
    metrics: Globs = ("*",)
    lasting: Count = 3
    clear: Count = 10


class LossSpike(Group, frozen=True):
    """When a loss that jumped up is an alert.

    k: how many noises above its level; the noise is 1.4826 times the median absolute deviation of
    the last `window` points, at least `floor` of the level. least_points: before anything is
    judged. lasting: points up there until the alert opens. clear: points back in a row until it is
    over; what is over before it opened is a passing spike.
    """

    enabled: bool = True
    k: Positive = 8.0
    floor: Positive = 0.02
    window: Count = 128
    least_points: Count = 32
    lasting: Count = 10
    clear: Count = 5


class Divergence(Group, frozen=True):
    """When a loss that climbs away from its best is an alert.

    k: how many noises above the best, which is the lowest median of 25 points. rise: at least so
    much of the best. lasting: points since the best. rising: Kendall's tau of the last 8 medians,
    at least. nonfinite: so many NaN or infinite points are a divergence, too; ten numbers
    in a row begin anew. exclude: globs
    of losses that may rise, as those of held-out data do.
    """

    enabled: bool = True
    k: Positive = 6.0
    rise: Positive = 0.25
    lasting: Count = 200
    rising: Positive = 0.7
    nonfinite: Count = 20
    exclude: Globs = ("*eval*", "*val*", "*test*", "*dev*")


class Stall(Group, frozen=True):
    """When a run that says it is running and sends nothing is an alert.

    After the longest of: least_s; k times the median time between its last rows; habit times the
    second longest pause it has shown. start_s: instead, while it has sent fewer than 8 rows.
    """

    enabled: bool = True
    least_s: Positive = 60.0
    k: Positive = 10.0
    habit: Positive = 2.0
    start_s: Positive = 600.0


class ThroughputDrop(Group, frozen=True):
    """When steps that take longer than they did are an alert.

    ratio: the median step time of 16 rows over the run's own, twice in a row. k: and at least so
    many noises above it. least_s: and for so many seconds.
    """

    enabled: bool = True
    ratio: Positive = 1.5
    k: Positive = 6.0
    least_s: Positive = 30.0


class Thresholds(Group, frozen=True):
    """What is an alert, docs/health.md. losses: globs of names, in lower case, less not_losses."""

    losses: Globs = ("*loss*", "*perplexity*", "*nll*")
    not_losses: Globs = ("*loss_scale*", "*loss-scale*", "*lossless*")
    nonfinite: Nonfinite = Nonfinite()
    loss_spike: LossSpike = LossSpike()
    divergence: Divergence = Divergence()
    stall: Stall = Stall()
    throughput_drop: ThroughputDrop = ThroughputDrop()


WebAddress = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(https?://[^\s/].*)?$", description="an address with http:// or https://"
    ),
]


class WatchSettings(Thresholds, frozen=True):
    """The watch over running runs, in the processor. Its thresholds may differ by workload.

    every_s: between two looks. webhook_url: where alerts are told; empty tells nobody.
    webhook_secret: signs what is told with HMAC-SHA256.
    """

    enabled: bool = True
    every_s: Positive = 5.0
    webhook_url: WebAddress = ""
    webhook_secret: str = ""


class ApiSettings(Group, frozen=True):
    """The reading side. cluster: the name under which this server's own database is known."""

    cluster: str = "default"


class LogSettings(Group, frozen=True):
    """level: debug, info, warn or error; the environment's LOG_LEVEL is the default."""

    level: Literal["debug", "info", "warn", "error"] = "info"


class Settings(Group, frozen=True):
    """The whole file. clusters: names of further data planes, each with its DSN, for reading."""

    server: ServerSettings = ServerSettings()
    access: AccessSettings = AccessSettings()
    database: DatabaseSettings = DatabaseSettings()
    wandb: WandbSettings = WandbSettings()
    metrics: MetricsSettings = MetricsSettings()
    workloads: WorkloadSettings = WorkloadSettings()
    limits: LimitSettings = LimitSettings()
    compaction: CompactionSettings = CompactionSettings()
    retention: RetentionSettings = RetentionSettings()

    watch: WatchSettings = WatchSettings()
    api: ApiSettings = ApiSettings()
    clusters: dict[str, str] = {}
    log: LogSettings = LogSettings()


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a file, or the defaults without one.

    `${VAR}` becomes the variable's value, `${VAR:-default}` the default when it is unset or empty.
    Raises ConfigError naming the file, the place and what is allowed.
    """
    where = str(path) if path else "the defaults"
    document = _read(path) if path else {}
    if "LOG_LEVEL" in environ:
        log = document.setdefault("log", {})
        log.setdefault("level", environ["LOG_LEVEL"].lower())
    try:
        # strict=False: a substituted "${PORT}" arrives as text where a number is meant.
        return msgspec.convert(_substitute(document, environ, ""), Settings, strict=False)
    except msgspec.ValidationError as error:
        raise errors.ConfigError(f"{where}: {_in_words(str(error))}") from error
    except errors.ConfigError as error:
        raise errors.ConfigError(f"{where}: {error.message}") from error


def _in_words(refusal: str) -> str:
    """Msgspec's refusal with the place as people write it, and what is allowed there."""
    reason, _, place = refusal.partition(" - at `$.")
    if not place:
        return reason.removesuffix(" - at `$`")
    kind: msgspec.inspect.Type = msgspec.inspect.type_info(Settings)
    for name in re.findall(r"\w+", place):
        if not isinstance(kind, msgspec.inspect.StructType):
            break
        kind = next(field.type for field in kind.fields if field.name == name)
    allowed = ""
    if isinstance(kind, msgspec.inspect.LiteralType):
        allowed = " or ".join(map(str, kind.values))
    elif isinstance(kind, msgspec.inspect.Metadata):
        allowed = (kind.extra_json_schema or {}).get("description", "")
    return f"{reason} - at `{place}" + (f"; allowed is {allowed}" if allowed else "")


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise errors.ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise errors.ConfigError(f"{path} is not valid YAML: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise errors.ConfigError(f"{path} must hold a mapping at its top")
    return document


def _substitute(node: Any, environ: Mapping[str, str], at: str) -> Any:  # noqa: ANN401 - a YAML tree
    """The tree with its variables filled in; done after parsing so that no value can add YAML."""
    if isinstance(node, dict):
        return {key: _substitute(value, environ, f"{at}.{key}") for key, value in node.items()}
    if isinstance(node, list):
        return [_substitute(value, environ, f"{at}[{i}]") for i, value in enumerate(node)]
    if not isinstance(node, str):
        return node

    def value_of(match: re.Match[str]) -> str:
        name, default = match.groups()
        if environ.get(name):
            return environ[name]
        if default is not None:
            return str(default)
        if name in environ:
            return ""
        raise errors.ConfigError(
            f"{at.lstrip('.')} needs the environment variable {name}, which is not set; "
            f"set it or write ${{{name}:-default}}"
        )

    return _VARIABLE.sub(value_of, node)
