import importlib.abc
import json
import pathlib
import sys
import types

import jsonschema
import pytest

from primus_lens_wandb_exporter import _evidence, _frameworks

PROTOCOL = pathlib.Path(__file__).parents[2] / "protocol" / "v1"
SCHEMA = json.loads((PROTOCOL / "detection.schema.json").read_text())
SPEC_A1 = json.loads((PROTOCOL / "examples" / "good" / "detection-spec-a1.json").read_text())[
    "body"
]
RUN = {
    "project": "my-training",
    "name": "run-001",
    "id": "wandb-run-id",
    "config": {"framework": "primus", "base_framework": "megatron"},
    "tags": ["distributed", "gpu"],
}


@pytest.fixture
def load(monkeypatch):
    """Load modules of these names into this process, with these globals."""

    def load_one(name, **contents):
        module = types.ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return load_one


@pytest.fixture
def primus_job(load):
    """What a Primus job over Megatron has loaded."""
    load("torch", __version__="2.1.0")
    load("torch.version", cuda="12.1", hip=None)
    load("transformers")
    load("primus", __version__="1.0.0")
    load("primus.backends")
    load("primus.backends.megatron.adapter")
    load("megatron.core")
    load("megatron.training.training")
    return SPEC_A1["evidence"]["environment"]


def valid(report):
    """The body the sender would post, once the schema has agreed to it."""
    body = json.loads(json.dumps({"workload_uid": "w", **report}, allow_nan=False))
    jsonschema.validate(body, SCHEMA)
    return body


def test_specification_example(primus_job):
    """A Primus job over Megatron gives the evidence of the specification's A.1."""
    evidence = valid(_evidence.collect(primus_job, RUN))["evidence"]
    expected = SPEC_A1["evidence"]
    assert evidence["wandb"] == expected["wandb"]
    assert evidence["environment"] == expected["environment"]
    assert evidence["wrapper_frameworks"]["primus"].items() >= (
        expected["wrapper_frameworks"]["primus"].items()
    )
    assert evidence["base_frameworks"]["megatron"].items() >= (
        expected["base_frameworks"]["megatron"].items()
    )
    modules = evidence["pytorch"].pop("detected_modules")
    assert modules.items() >= expected["pytorch"]["detected_modules"].items()
    assert evidence["pytorch"] == {
        "available": True,
        "version": "2.1.0",
        "cuda_version": "12.1",
        "cuda_available": bool(evidence["hardware"]),
    }


def test_specification_hints(primus_job):
    """A Primus job over Megatron gives the hints of the specification's A.1."""
    hints = valid(_evidence.collect(primus_job, RUN))["hints"]
    indicators = hints.pop("primary_indicators")
    expected = dict(SPEC_A1["hints"])
    assert set(indicators) >= set(expected.pop("primary_indicators"))
    assert hints == expected


def test_nothing_to_show():
    """A job without a framework gives valid evidence that says so, at low confidence."""
    body = valid(_evidence.collect({}, {}))
    assert body["evidence"]["wrapper_frameworks"] == body["evidence"]["base_frameworks"] == {}
    assert body["hints"] == {
        "wrapper_frameworks": [],
        "base_frameworks": [],
        "possible_frameworks": [],
        "confidence": "low",
        "primary_indicators": [],
    }


def test_unknown_run_facts():
    """Facts wandb does not know yet may be None."""
    facts = dict.fromkeys(("project", "name", "id", "config", "tags"))
    assert valid(_evidence.collect({}, facts))["evidence"]["wandb"] == {
        "project": "",
        "name": "",
        "id": "",
        "config": {},
        "tags": [],
    }


def test_environment_alone_is_medium():
    """When only the environment speaks, the hints are of medium confidence."""
    hints = _evidence.collect({"PRIMUS_BACKEND": "TorchTitan", "DS_CONFIG": "ds.json"}, {})["hints"]
    assert hints == {
        "wrapper_frameworks": ["primus"],
        "base_frameworks": ["deepspeed", "torchtitan"],
        "possible_frameworks": ["primus", "deepspeed", "torchtitan"],
        "confidence": "medium",
        "primary_indicators": [
            "PRIMUS env vars",
            "DEEPSPEED env vars",
            "PRIMUS_BACKEND=torchtitan",
        ],
    }


def test_loaded_but_unused_is_low(load):
    """A framework that is loaded and not in use is a hint of low confidence."""
    load("deepspeed")
    hints = _evidence.collect({}, {})["hints"]
    assert (hints["base_frameworks"], hints["confidence"]) == (["deepspeed"], "low")
    assert hints["primary_indicators"] == ["module.deepspeed"]


class NothingMayBeImported(importlib.abc.MetaPathFinder):
    """Records what somebody tried to import."""

    def __init__(self):
        self.wanted = []

    def find_spec(self, fullname, path=None, target=None):  # noqa: ARG002 - the protocol's names
        """Note the name, find nothing."""
        self.wanted.append(fullname)


class Untouchable(types.ModuleType):
    """A module that does not bear being asked for an attribute it has not got."""

    def __getattr__(self, name):
        msg = f"{self.__name__}.{name} was asked for"
        raise AssertionError(msg)


def test_nothing_is_imported(primus_job, monkeypatch):
    """Looking imports nothing and leaves sys.modules as it was."""
    watch = NothingMayBeImported()
    monkeypatch.setattr(sys, "meta_path", [watch])
    before = dict(sys.modules)
    _evidence.collect(primus_job, RUN)
    assert watch.wanted == []
    assert dict(sys.modules) == before


def test_lazy_modules_and_gpus_are_left_alone(monkeypatch):
    """No foreign module is asked for anything: not lazy ones, which import, nor torch.cuda."""
    roots = [root for one in _frameworks.FRAMEWORKS for root, _ in one.roots]
    proofs = [
        proof.partition(":")[0].replace(".*", part)
        for one in _frameworks.FRAMEWORKS
        for proof in one.proofs
        for part in ("", ".part")
    ]
    for name in (*roots, *proofs, "torch", "torch.version", "torch.cuda", "amdsmi", "pynvml"):
        monkeypatch.setitem(sys.modules, name, Untouchable(name))
    evidence = valid(_evidence.collect({}, RUN))["evidence"]
    assert evidence["pytorch"]["available"]
    assert set(evidence["pytorch"]["detected_modules"].values()) == {True}


def test_rocm_build(load):
    """A torch built for ROCm says so by its HIP version."""
    load("torch", __version__="2.7.0")
    load("torch.version", cuda=None, hip="6.4.43482")
    pytorch = _evidence.collect({}, {})["evidence"]["pytorch"]
    assert pytorch["hip_version"] == "6.4.43482"
    assert "cuda_version" not in pytorch


def test_versions_come_from_folder_names(monkeypatch, tmp_path):
    """Versions are read off the .dist-info folders of site-packages, only those of interest."""
    site = tmp_path / "site-packages"
    for name in (
        "torch-2.7.0+rocm6.4.dist-info",
        "Flash_Attn-2.8.0.dist-info",
        "our_secret_model-1.0.dist-info",
        "torch",
        "wandb.dist-info",
    ):
        (site / name).mkdir(parents=True)
    gone = tmp_path / "gone" / "site-packages"
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(gone), str(site)])
    packages = _evidence.collect({}, {})["evidence"]["software"]["packages"]
    assert packages == {"torch": "2.7.0+rocm6.4", "flash-attn": "2.8.0"}


def test_first_site_packages_wins(monkeypatch, tmp_path):
    """Of two installed versions, that which Python would import counts."""
    for place, version in (("a", "1"), ("b", "2")):
        (tmp_path / place / "site-packages" / f"torch-{version}.dist-info").mkdir(parents=True)
    places = [str(tmp_path / place / "site-packages") for place in "ab"]
    monkeypatch.setattr(sys, "path", places)
    assert _evidence.collect({}, {})["evidence"]["software"] == {"packages": {"torch": "1"}}


def test_module_set_size_grows_with_an_import(load):
    """A module that is loaded changes the signal."""
    before = _evidence.module_set_size()
    load("a_module_of_this_test")
    assert _evidence.module_set_size() == before + 1


def test_module_set_size_grows_with_use(load):
    """A framework that is taken into use changes the signal, though nothing more is loaded."""
    backends = {}
    load("jax._src.xla_bridge", _backends=backends)
    before = _evidence.module_set_size()
    backends["rocm"] = object()
    assert _evidence.module_set_size() == before + 1


def test_system():
    """The machine and the Python are named."""
    system = _evidence.collect({}, {})["evidence"]["system"]
    assert system["python_version"] == ".".join(map(str, sys.version_info[:3]))
    assert system["cpu_count"] > 0
    assert system["memory_bytes"] > 1 << 20


def test_run_id_is_not_taken_for_a_secret():
    """Wandb's id of a run is public and random, and it is sent as it is."""
    run_id = "0123456789abcdef" * 2
    assert _evidence.collect({}, {"id": run_id})["evidence"]["wandb"]["id"] == run_id
