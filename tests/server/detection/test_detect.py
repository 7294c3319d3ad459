import msgspec
import pytest

from primus_lens.detection.decide import detect
from primus_lens.model.detections import Detection, DetectionRequest, Layer


def read(**evidence):
    """A report of this evidence, as the ingest would hand it on."""
    return msgspec.convert({"workload_uid": "w", "evidence": evidence}, DetectionRequest)


def layers(detection):
    """Wrapper and base."""
    return detection.wrapper_framework, detection.base_framework


EVERYTHING = {
    "wrapper_frameworks": {"lightning": {"detected": True, "initialized": True}},
    "environment": {"DS_CONFIG": "/ds.json"},
    "wandb": {"config": {"framework": "nemo"}, "project": "jax-training"},
    "pytorch": {"detected_modules": {"megatron": True}},
}


@pytest.mark.parametrize(
    "silenced,method,confidence,framework",
    [
        ((), "import", 0.90, "lightning"),
        (("wrapper_frameworks",), "env_vars", 0.80, "deepspeed"),
        (("wrapper_frameworks", "environment"), "wandb_config", 0.70, "nemo"),
    ],
)
def test_first_tier_that_speaks_wins(silenced, method, confidence, framework):
    """Import, then environment, then config: a tier is asked only when those above are silent."""
    evidence = {part: what for part, what in EVERYTHING.items() if part not in silenced}
    detection = detect(read(**evidence))
    assert (detection.method, detection.confidence) == (method, confidence)
    assert detection.framework == framework


def test_loaded_modules_speak_before_the_project():
    """Loaded modules have .60."""
    detection = detect(
        read(
            pytorch={"available": True, "detected_modules": {"megatron": True, "jax": False}},
            wandb={"project": "primus"},
        )
    )
    assert detection == Detection(
        framework="megatron",
        layer=Layer.BASE,
        confidence=0.60,
        method="pytorch_modules",
        base_framework="megatron",
        indicators=("module.megatron",),
    )


def test_project_speaks_last():
    """The project's name has .50."""
    detection = detect(read(wandb={"project": "jax-training"}))
    assert (detection.method, detection.confidence) == ("project_name", 0.50)
    assert layers(detection) == ("", "jax")


@pytest.mark.parametrize(
    "evidence",
    [
        {},
        {"wandb": {"project": "mnist", "config": {"lr": 0.1}}},
        {"environment": {"RANK": "0", "JAX_PLATFORMS": "", "ACCELERATE_USE_FSDP": "false"}},
        {"pytorch": {"detected_modules": {"numpy": True, "torch": True, "jax": False}}},
        {"wrapper_frameworks": {"primus": {"detected": False}}},
        {"wrapper_frameworks": {"": {"detected": True}}},
        {"wandb": {"config": {"framework": 7, "trainer": {"max_epochs": 3}, "deepspeed": None}}},
    ],
)
def test_nothing_shown_is_nothing_detected(evidence):
    """Evidence that speaks of no framework gives no detection."""
    assert detect(read(**evidence)) is None


def test_wrapper_and_base_are_both_reported():
    """A wrapper over a base: the framework is the wrapper, the base is named too."""
    detection = detect(
        read(
            wrapper_frameworks={"lightning": {"detected": True}},
            base_frameworks={"deepspeed": {"detected": True}},
        )
    )
    assert (detection.framework, detection.layer) == ("lightning", "wrapper")
    assert layers(detection) == ("lightning", "deepspeed")


def test_base_alone_is_the_framework():
    """Without a wrapper the base is the framework."""
    detection = detect(read(base_frameworks={"deepspeed": {"detected": True}}))
    assert (detection.framework, detection.layer) == ("deepspeed", "base")
    assert layers(detection) == ("", "deepspeed")


def test_what_a_wrapper_says_it_drives():
    """A wrapper's own word on its base goes before what else is loaded."""
    detection = detect(
        read(
            wrapper_frameworks={"primus": {"detected": True, "base_framework": "TorchTitan"}},
            base_frameworks={"megatron": {"detected": True}},
        )
    )
    assert layers(detection) == ("primus", "torchtitan")


def test_outermost_wrapper_wins():
    """Of several wrappers in use, the outermost is the framework, whatever their order."""
    seen = {"accelerate": {"detected": True}, "trl": {"detected": True}}
    seen["llamafactory"] = {"detected": True}
    assert detect(read(wrapper_frameworks=seen)).framework == "llamafactory"
    backwards = dict(reversed(seen.items()))
    assert detect(read(wrapper_frameworks=backwards)).framework == "llamafactory"


def test_unknown_frameworks_come_last_by_name():
    """Frameworks the table does not know stand behind those it knows, in order of name."""
    seen = {"zeta": {"detected": True}, "alpha": {"detected": True}}
    assert detect(read(wrapper_frameworks=seen)).framework == "alpha"
    seen["keras"] = {"detected": True}
    assert detect(read(wrapper_frameworks=seen)).framework == "keras"


def test_loaded_but_unused_does_not_count_beside_used():
    """DeepSpeed that some library merely imported does not become the base of a job."""
    detection = detect(
        read(
            wrapper_frameworks={"transformers_trainer": {"detected": True, "initialized": True}},
            base_frameworks={"deepspeed": {"detected": True, "initialized": False}},
        )
    )
    assert layers(detection) == ("transformers_trainer", "")


def test_loaded_but_unused_is_a_loaded_module():
    """A framework that is loaded and not in use has .60, behind what the environment says."""
    unused = {"megatron": {"detected": True, "initialized": False}}
    detection = detect(read(base_frameworks=unused))
    assert (detection.framework, detection.method) == ("megatron", "pytorch_modules")
    assert detection.confidence == 0.60
    detection = detect(read(base_frameworks=unused, environment={"JAX_PLATFORMS": "rocm"}))
    assert (detection.framework, detection.method) == ("jax", "env_vars")


def test_transformers_as_a_wrapper_is_its_trainer():
    """Transformers named among the wrappers is the Transformers Trainer."""
    detection = detect(read(wrapper_frameworks={"transformers": {"detected": True}}))
    assert detection.framework == "transformers_trainer"


@pytest.mark.parametrize(
    "environment,expected",
    [
        ({"PRIMUS_CONFIG": "/p.yaml", "PRIMUS_BACKEND": "Megatron-LM"}, ("primus", "megatron")),
        ({"PRIMUS_CONFIG": "/p.yaml"}, ("primus", "")),
        ({"PRIMUS_BACKEND": "maxtext", "MEGATRON_CONFIG": "m"}, ("primus", "maxtext")),
        ({"MEGATRON_LM_PATH": "/m", "DS_CONFIG": "d"}, ("", "megatron")),
        ({"JAX_PLATFORMS": "tpu"}, ("", "jax")),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, ("accelerate", "deepspeed")),
        ({"UNSLOTH_IS_PRESENT": "1"}, ("unsloth", "")),
    ],
)
def test_environment(environment, expected):
    """Variables show wrapper and base."""
    detection = detect(read(environment=environment))
    assert (detection.method, layers(detection)) == ("env_vars", expected)


@pytest.mark.parametrize(
    "config,expected",
    [
        ({"framework": "primus", "base_framework": "megatron"}, ("primus", "megatron")),
        ({"framework": "pytorch_lightning"}, ("lightning", "")),
        ({"framework": "deepspeed"}, ("", "deepspeed")),
        ({"base_framework": "jax"}, ("", "jax")),
        ({"framework": "pytorch", "base_framework": "megatron"}, ("", "megatron")),
        ({"framework": "inhouse"}, ("", "inhouse")),
        ({"framework": "inhouse", "base_framework": "jax"}, ("inhouse", "jax")),
        ({"trainer": "DeepSpeedTrainer"}, ("", "deepspeed")),
        ({"deepspeed_config": {"zero_optimization": {"stage": 3}}}, ("", "deepspeed")),
        ({"primus_config": "p.yaml", "framework": "megatron"}, ("primus", "megatron")),
    ],
)
def test_config(config, expected):
    """The wandb config shows wrapper and base."""
    detection = detect(read(wandb={"config": config}))
    assert (detection.method, layers(detection)) == ("wandb_config", expected)


def test_indicators_name_what_was_seen():
    """The indicators are the signs of the frameworks that were kept, and no others."""
    detection = detect(
        read(environment={"PRIMUS_CONFIG": "/p", "PRIMUS_BACKEND": "megatron", "DS_CONFIG": "d"})
    )
    assert detection.indicators == ("PRIMUS_CONFIG", "PRIMUS_BACKEND", "PRIMUS_BACKEND=megatron")


def test_indicators_are_bounded():
    """However long a project's name is, an indicator has at most 128 characters."""
    detection = detect(read(wandb={"project": "jax " + "x" * 5_000}))
    assert [len(indicator) for indicator in detection.indicators] == [128]


@pytest.mark.parametrize(
    "evidence,path",
    [
        ("yes", "evidence"),
        ({"environment": {"RANK": 0}}, "evidence.environment"),
        ({"pytorch": {"detected_modules": {"jax": "no"}}}, "evidence.pytorch.detected_modules"),
        ({"base_frameworks": {"jax": True}}, "evidence.base_frameworks"),
        ({"wandb": {"tags": "a"}}, "evidence.wandb.tags"),
    ],
)
def test_wrong_types_are_refused(evidence, path):
    """A declared field of the wrong type is refused with its path."""
    body = msgspec.json.encode({"workload_uid": "w", "evidence": evidence})
    with pytest.raises(msgspec.ValidationError, match=path.replace(".", r"\.")):
        msgspec.json.decode(body, type=DetectionRequest)


def test_null_and_unknown_fields_are_tolerated():
    """Null stands for absent, and fields nobody declared are ignored."""
    body = b"""{"workload_uid": "w", "mood": 1, "evidence": {
      "wandb": {"config": null, "tags": null}, "environment": null, "pytorch": null, "weather": {},
      "wrapper_frameworks": {"primus": {"detected": true, "version": null, "base_framework": null}}
    }}"""
    assert detect(msgspec.json.decode(body, type=DetectionRequest)).framework == "primus"
