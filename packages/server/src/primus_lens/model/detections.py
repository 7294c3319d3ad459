"""What a job shows of its framework (evidence), and what that means (detection).

The request structs are the body of POST /api/v1/wandb/detection: every field may be absent or
null, unknown fields are ignored, a field of the wrong type is refused. Evidence that no rule reads
is declared all the same, so that it is stored as it came.
"""

import enum
from typing import Annotated, Any, Literal

import msgspec

Identity = Annotated[str, msgspec.Meta(max_length=255)]
Source = Annotated[str, msgspec.Meta(max_length=50)]


class Layer(enum.StrEnum):
    """Where a framework stands: a wrapper drives the training, a base does it."""

    WRAPPER = "wrapper"
    BASE = "base"


class Method(enum.StrEnum):
    """Which tier of evidence spoke, strongest first."""

    IMPORT = "import"
    ENV_VARS = "env_vars"
    WANDB_CONFIG = "wandb_config"
    PYTORCH_MODULES = "pytorch_modules"
    PROJECT_NAME = "project_name"


class Status(enum.StrEnum):
    """How sure the sources together are."""

    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    VERIFIED = "verified"
    CONFLICT = "conflict"


class WandbEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the job told wandb about its run."""

    project: str | None = None
    name: str | None = None
    id: str | None = None
    config: dict[str, Any] | None = None
    tags: list[str] | None = None


class PyTorchEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """The loaded torch. detected_modules: framework to whether it is in the job's memory."""

    available: bool | None = None
    version: str | None = None
    cuda_available: bool | None = None
    cuda_version: str | None = None
    hip_version: str | None = None
    detected_modules: dict[str, bool] | None = None


class FrameworkEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One framework as found in the job's memory.

    detected: it is loaded. initialized: it is in use; None when the sender cannot tell. proof: the
    module that shows the use. base_framework: what a wrapper says it drives.
    """

    detected: bool | None = None
    version: str | None = None
    initialized: bool | None = None
    base_framework: str | None = None
    proof: str | None = None


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything one process shows. The rules read neither system, hardware, software nor build."""

    wandb: WandbEvidence | None = None
    environment: dict[str, str] | None = None
    pytorch: PyTorchEvidence | None = None
    wrapper_frameworks: dict[str, FrameworkEvidence] | None = None
    base_frameworks: dict[str, FrameworkEvidence] | None = None
    system: dict[str, Any] | None = None
    hardware: dict[str, Any] | None = None
    software: dict[str, Any] | None = None
    build: dict[str, Any] | None = None


class Hints(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the sender makes of its own evidence; kept for people, not used by the rules."""

    wrapper_frameworks: list[str] | None = None
    base_frameworks: list[str] | None = None
    possible_frameworks: list[str] | None = None
    confidence: Literal["low", "medium", "high"] | None = None
    primary_indicators: list[str] | None = None


class DetectionRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of POST /api/v1/wandb/detection: one look at one process. timestamp: Unix seconds."""

    source: Source = "wandb"
    type: str = ""
    version: str = ""
    workload_uid: Identity = ""
    pod_uid: Identity = ""
    pod_name: Identity = ""
    namespace: Identity = ""
    evidence: Evidence = Evidence()
    hints: Hints = Hints()
    timestamp: float | None = None


class Detection(msgspec.Struct, frozen=True):
    """What one body of evidence means.

    framework: the wrapper if there is one, else the base; layer says which. confidence: from 0
    to 1. method: a Method, or a word of another source's own. indicators: what was seen, at most
    eight.
    """

    framework: str
    layer: Layer
    confidence: float
    method: str
    wrapper_framework: str = ""
    base_framework: str = ""
    indicators: tuple[str, ...] = ()


class SourcedDetection(msgspec.Struct, frozen=True):
    """A detection with who said it and when. at: Unix seconds."""

    source: str
    at: float
    detection: Detection


class Conflict(msgspec.Struct, frozen=True):
    """Two sources that name different frameworks for one layer.

    kept and dropped are frameworks; resolution is why: user, confidence, priority or order.
    """

    layer: Layer
    kept: str
    kept_source: str
    dropped: str
    dropped_source: str
    resolution: str


class MergedDetection(msgspec.Struct, frozen=True):
    """What all sources together say of a workload.

    confidence, method and indicators are those of the framework's own layer. sources: all that
    name one of the frameworks kept, strongest first.
    """

    framework: str
    layer: Layer
    confidence: float
    status: Status
    method: str
    wrapper_framework: str = ""
    base_framework: str = ""
    indicators: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
