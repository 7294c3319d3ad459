"""What evidence means: one report by itself (detect), all reports of a workload together (merge).

Both are pure: the same values give the same answer, in whatever order they come. ingest.intake
calls detect on each report and merge on what is stored; rules holds the table.

**One report.** Five tiers, the first that speaks wins: what was imported (.90), environment
variables (.80), the wandb config (.70), loaded modules (.60), the project's name (.50). Within a
tier wrapper and base are each the first of the table that is shown; the framework is the wrapper,
without one the base. A framework that the sender says is loaded but not in use (initialized false)
is a loaded module and nothing more: DeepSpeed and accelerate get imported by jobs without them.

**All reports.** Each source has one voice: its surest report, the newest of equals. Voices are
ordered by: the user's first, then confidence, then the source (an import seen by wandb, component,
anything else wandb saw, process, image, label, log, others). Voices under .60 are suspicions, heard
only when there is nothing better. Each layer is decided by itself: the first voice that names it
wins, every other source that agrees adds .05, at most .15, never over 1.0; every source that
contradicts is a conflict. The status is

| status | when |
|---|---|
| conflict | a voice contradicts and it was not the user who settled it |
| verified | the confidence is at least .80 and two sources agree |
| confirmed | the confidence is at least .60 |
| suspected | else |
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from primus_lens.detection import rules
from primus_lens.model.detections import (
    Conflict,
    Detection,
    DetectionRequest,
    Evidence,
    FrameworkEvidence,
    Layer,
    MergedDetection,
    Method,
    SourcedDetection,
    Status,
)

AGREEMENT = 0.05  # each further source that names the same
MOST_AGREEMENT = 0.15
VERIFIED = 0.80
CONFIRMED = 0.60
USER = "user"

_SWITCHED_OFF = frozenset({"", "false"})
_SOURCES = ("component", "wandb", "process", "image", "label", "log")
_MOST_INDICATORS = 8
_LONGEST_INDICATOR = 128  # characters


class _Claim(NamedTuple):
    """One thing seen. weight: within a tier, 0 is a framework's own word, 1 and 2 are signs."""

    layer: Layer
    name: str
    indicator: str
    weight: int = 1


def detect(report: DetectionRequest) -> Detection | None:
    """What one report shows, or None when it shows no framework."""
    evidence = report.evidence
    for method, confidence, claims in (
        (Method.IMPORT, 0.90, _imported(evidence)),
        (Method.ENV_VARS, 0.80, _environment(evidence.environment or {})),
        (Method.WANDB_CONFIG, 0.70, _config(evidence)),
        (Method.PYTORCH_MODULES, 0.60, _modules(evidence)),
        (Method.PROJECT_NAME, 0.50, _project(evidence)),
    ):
        seen = [claim for claim in claims if claim.name]
        if seen:
            return _detection(method, confidence, seen)
    return None


def _detection(method: Method, confidence: float, seen: Sequence[_Claim]) -> Detection:
    wrapper = _first(Layer.WRAPPER, seen)
    base = _first(Layer.BASE, seen)
    kept = {(Layer.WRAPPER, wrapper), (Layer.BASE, base)}
    indicators = dict.fromkeys(
        claim.indicator[:_LONGEST_INDICATOR] for claim in seen if (claim.layer, claim.name) in kept
    )
    return Detection(
        framework=wrapper or base,
        layer=Layer.WRAPPER if wrapper else Layer.BASE,
        confidence=confidence,
        method=method.value,
        wrapper_framework=wrapper,
        base_framework=base,
        indicators=tuple(indicators)[:_MOST_INDICATORS],
    )


def _first(layer: Layer, seen: Sequence[_Claim]) -> str:
    of_layer = [claim for claim in seen if claim.layer is layer]
    return min(of_layer, key=_order).name if of_layer else ""


def _order(claim: _Claim) -> tuple[int, int, str]:
    return claim.weight, rules.PRIORITY.get(claim.name, len(rules.RULES)), claim.name


def _imported(evidence: Evidence) -> Iterator[_Claim]:
    for layer, name, entry in _loaded(evidence):
        if entry.initialized is False:
            continue
        yield _Claim(layer, name, f"import.{name}")
        if layer is Layer.WRAPPER and entry.base_framework:
            base = rules.canonical(entry.base_framework)
            yield _Claim(Layer.BASE, base, f"{name}.base_framework={base}", weight=0)


def _loaded(evidence: Evidence) -> Iterator[tuple[Layer, str, FrameworkEvidence]]:
    for layer, section in (
        (Layer.WRAPPER, evidence.wrapper_frameworks or {}),
        (Layer.BASE, evidence.base_frameworks or {}),
    ):
        for key, entry in sorted(section.items()):
            name = rules.canonical(key)
            if name == "transformers" and layer is Layer.WRAPPER:
                name = "transformers_trainer"  # as a wrapper, Transformers is its Trainer
            if entry.detected:
                yield layer, name, entry


def _environment(environment: Mapping[str, str]) -> Iterator[_Claim]:
    for rule in rules.RULES:
        for variable in rule.env_vars:
            if environment.get(variable, "").strip().lower() not in _SWITCHED_OFF:
                yield _Claim(rule.layer, rule.name, variable)
    backend = rules.canonical(environment.get(rules.PRIMUS_BACKEND, ""))
    yield _Claim(Layer.BASE, backend, f"{rules.PRIMUS_BACKEND}={backend}", weight=0)


def _config(evidence: Evidence) -> Iterator[_Claim]:
    config = (evidence.wandb.config if evidence.wandb else None) or {}
    framework = _name(config.get("framework"))
    base = _name(config.get("base_framework"))
    layer = _layer(framework, Layer.WRAPPER if base else Layer.BASE)
    yield _Claim(layer, framework, f"config.framework={framework}", weight=0)
    yield _Claim(Layer.BASE, base, f"config.base_framework={base}", weight=0)
    trainer = config.get("trainer")
    for name in rules.named_in(trainer if isinstance(trainer, str) else ""):
        yield _Claim(rules.BY_NAME[name].layer, name, f"config.trainer={trainer}", weight=1)
    for rule in rules.RULES:
        for key in rule.config:
            if config.get(key):
                yield _Claim(rule.layer, rule.name, f"config.{key}", weight=2)


def _modules(evidence: Evidence) -> Iterator[_Claim]:
    for layer, name, _ in _loaded(evidence):
        yield _Claim(layer, name, f"module.{name}")
    modules = (evidence.pytorch.detected_modules if evidence.pytorch else None) or {}
    for key in sorted(modules):
        rule = rules.BY_NAME.get(rules.canonical(key))
        if modules[key] and rule is not None and not rule.library:
            yield _Claim(rule.layer, rule.name, f"module.{rule.name}")


def _project(evidence: Evidence) -> Iterator[_Claim]:
    project = (evidence.wandb.project if evidence.wandb else None) or ""
    for name in rules.named_in(project):
        yield _Claim(rules.BY_NAME[name].layer, name, f"project={project}")


def _name(value: object) -> str:
    return rules.canonical(value) if isinstance(value, str) else ""


def _layer(name: str, otherwise: Layer) -> Layer:
    return rules.BY_NAME[name].layer if name in rules.BY_NAME else otherwise


class _Choice(NamedTuple):
    """One layer, decided."""

    name: str
    leader: SourcedDetection
    confidence: float
    sources: tuple[str, ...]
    conflicts: tuple[Conflict, ...]


def merge(reports: Sequence[SourcedDetection]) -> MergedDetection | None:
    """What all reports of one workload say together, or None when there are none.

    Neither the order of the reports nor a report that comes again changes the answer.
    """
    voices = _voices(reports)
    choices = {layer: choice for layer in Layer if (choice := _choose(layer, voices)) is not None}
    if not choices:
        return None
    layer, choice = next(iter(choices.items()))  # Layer lists the wrapper first
    conflicts = tuple(conflict for one in choices.values() for conflict in one.conflicts)
    named = {source for one in choices.values() for source in one.sources}
    return MergedDetection(
        framework=choice.name,
        layer=layer,
        confidence=choice.confidence,
        status=_status(choice, conflicts),
        method=choice.leader.detection.method,
        wrapper_framework=_chosen(choices, Layer.WRAPPER),
        base_framework=_chosen(choices, Layer.BASE),
        indicators=choice.leader.detection.indicators,
        sources=tuple(voice.source for voice in voices if voice.source in named),
        conflicts=conflicts,
    )


def _voices(reports: Sequence[SourcedDetection]) -> list[SourcedDetection]:
    """The surest report of each source, strongest first; suspicions only if there is no more."""
    surest: dict[str, SourcedDetection] = {}
    for report in reports:
        rival = surest.get(report.source)
        if rival is None or _sureness(report) > _sureness(rival):
            surest[report.source] = report
    voices = sorted(surest.values(), key=_strength)
    heard = [voice for voice in voices if voice.source == USER or _confidence(voice) >= CONFIRMED]
    return heard or voices


def _sureness(report: SourcedDetection) -> tuple[object, ...]:
    said = report.detection
    return (
        _confidence(report),
        report.at,
        said.wrapper_framework,
        said.base_framework,
        said.method,
        said.indicators,
    )


def _strength(voice: SourcedDetection) -> tuple[bool, float, float, str]:
    return voice.source != USER, -_confidence(voice), _rank(voice), voice.source


def _rank(voice: SourcedDetection) -> int:
    if voice.source == "wandb" and voice.detection.method == Method.IMPORT:
        return -1
    return _SOURCES.index(voice.source) if voice.source in _SOURCES else len(_SOURCES)


def _confidence(report: SourcedDetection) -> float:
    return min(1.0, max(0.0, report.detection.confidence))


def _choose(layer: Layer, voices: Sequence[SourcedDetection]) -> _Choice | None:
    speaking = [voice for voice in voices if _named(layer, voice)]
    if not speaking:
        return None
    leader = speaking[0]
    agreeing = [voice for voice in speaking if _named(layer, voice) == _named(layer, leader)]
    bonus = min(MOST_AGREEMENT, AGREEMENT * (len(agreeing) - 1))
    return _Choice(
        name=_named(layer, leader),
        leader=leader,
        confidence=round(min(1.0, _confidence(leader) + bonus), 3),
        sources=tuple(voice.source for voice in agreeing),
        conflicts=tuple(
            _conflict(layer, leader, voice) for voice in speaking if voice not in agreeing
        ),
    )


def _named(layer: Layer, voice: SourcedDetection) -> str:
    """The framework a voice names for a layer; other sources may say it only once, as theirs."""
    said = voice.detection
    of_layer = said.wrapper_framework if layer is Layer.WRAPPER else said.base_framework
    return rules.canonical(of_layer or (said.framework if said.layer is layer else ""))


def _conflict(layer: Layer, leader: SourcedDetection, other: SourcedDetection) -> Conflict:
    if leader.source == USER:
        resolution = "user"
    elif _confidence(leader) > _confidence(other):
        resolution = "confidence"
    elif _rank(leader) < _rank(other):
        resolution = "priority"
    else:
        resolution = "order"
    return Conflict(
        layer=layer,
        kept=_named(layer, leader),
        kept_source=leader.source,
        dropped=_named(layer, other),
        dropped_source=other.source,
        resolution=resolution,
    )


def _status(choice: _Choice, conflicts: Sequence[Conflict]) -> Status:
    if any(conflict.resolution != "user" for conflict in conflicts):
        return Status.CONFLICT
    if choice.confidence >= VERIFIED and len(choice.sources) > 1:
        return Status.VERIFIED
    return Status.CONFIRMED if choice.confidence >= CONFIRMED else Status.SUSPECTED


def _chosen(choices: Mapping[Layer, _Choice], layer: Layer) -> str:
    return choices[layer].name if layer in choices else ""
