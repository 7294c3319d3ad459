"""What shows that a framework is in use: one table, read by decide.

The exporter holds the table of Python modules, since only it can look at a process; this one knows
what the evidence it sends is called. Adding a framework is one row here and one row there.
"""

import re
from typing import NamedTuple

from primus_lens.model.detections import Layer

LONGEST_NAME = 64  # characters of a framework's name; it is stored and shown in lists
PRIMUS_BACKEND = "PRIMUS_BACKEND"  # its value names the base Primus drives


class Rule(NamedTuple):
    """One framework.

    aliases: other names it goes by. env_vars: set to anything but nothing or false. config: keys of
    the wandb config. words: patterns of whole words in a project's or a trainer's name. library:
    every other framework loads it too, so that having it loaded says nothing.
    """

    name: str
    layer: Layer
    aliases: tuple[str, ...] = ()
    env_vars: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    library: bool = False


# Within a layer the first that is shown wins. Wrappers stand outermost first: a LLaMA-Factory job
# also shows TRL, the Transformers Trainer and accelerate, and its owner calls it LLaMA-Factory.
RULES = (
    Rule(
        "primus",
        Layer.WRAPPER,
        env_vars=(
            "PRIMUS_CONFIG",
            PRIMUS_BACKEND,
            "PRIMUS_VERSION",
            "PRIMUS_PATH",
            "PRIMUS_WORKDIR",
            "PRIMUS_THIRDPARTY_DIR",
            "PRIMUS_EXP_NAME",
        ),
        config=("primus_config",),
        words=("primus",),
    ),
    Rule(
        "llamafactory",
        Layer.WRAPPER,
        aliases=("llama_factory", "llmtuner"),
        words=("llama ?factory",),
    ),
    Rule("axolotl", Layer.WRAPPER, words=("axolotl",)),
    Rule("unsloth", Layer.WRAPPER, env_vars=("UNSLOTH_IS_PRESENT",), words=("unsloth",)),
    Rule("verl", Layer.WRAPPER, aliases=("volcengine_verl",), words=("verl",)),
    Rule("nemo", Layer.WRAPPER, aliases=("nemo_toolkit", "nvidia_nemo"), words=("nemo",)),
    Rule("ray_train", Layer.WRAPPER, aliases=("ray", "raytrain"), words=("ray ?train",)),
    Rule("trl", Layer.WRAPPER, aliases=("hf_trl",), words=("trl",)),
    Rule(
        "lightning",
        Layer.WRAPPER,
        aliases=("pytorch_lightning", "lightning_pytorch", "pytorchlightning", "pl"),
        words=("lightning",),
    ),
    Rule("composer", Layer.WRAPPER, aliases=("mosaicml", "mosaicml_composer")),
    Rule(
        "transformers_trainer",
        Layer.WRAPPER,
        aliases=(
            "hf_trainer",
            "huggingface_trainer",
            "hugging_face_trainer",
            "hf_transformers_trainer",
        ),
        words=("hf ?trainer", "transformers ?trainer"),
    ),
    Rule("keras", Layer.WRAPPER, aliases=("tf_keras", "tensorflow_keras"), words=("keras",)),
    Rule(
        "accelerate",
        Layer.WRAPPER,
        aliases=("hf_accelerate", "huggingface_accelerate"),
        env_vars=(
            "ACCELERATE_USE_DEEPSPEED",
            "ACCELERATE_USE_FSDP",
            "ACCELERATE_USE_MEGATRON_LM",
            "ACCELERATE_MIXED_PRECISION",
        ),
    ),
    Rule(
        "megatron",
        Layer.BASE,
        aliases=("megatron_lm", "megatronlm", "megatron_core", "mcore"),
        env_vars=("MEGATRON_CONFIG", "MEGATRON_LM_PATH", "ACCELERATE_USE_MEGATRON_LM"),
        config=("megatron_config",),
        words=("megatron", "megatron ?lm", "mcore"),
    ),
    Rule(
        "deepspeed",
        Layer.BASE,
        aliases=("deep_speed",),
        env_vars=(
            "DEEPSPEED_CONFIG",
            "DS_CONFIG",
            "DEEPSPEED_VERSION",
            "ACCELERATE_USE_DEEPSPEED",
        ),
        config=("deepspeed_config", "deepspeed"),
        words=("deep ?speed",),
    ),
    Rule("torchtitan", Layer.BASE, aliases=("torch_titan",), words=("torch ?titan",)),
    Rule("maxtext", Layer.BASE, aliases=("max_text",), words=("max ?text",)),
    Rule("flax", Layer.BASE, words=("flax",)),
    Rule("jax", Layer.BASE, env_vars=("JAX_BACKEND", "JAX_PLATFORMS"), words=("jax",)),
    Rule(
        "transformers",
        Layer.BASE,
        aliases=("hf_transformers", "huggingface_transformers", "hugging_face_transformers"),
        words=("transformers",),
    ),
    Rule("pytorch", Layer.BASE, aliases=("torch",), library=True),
    Rule("tensorflow", Layer.BASE, aliases=("tf",), library=True),
)

BY_NAME = {rule.name: rule for rule in RULES}
PRIORITY = {rule.name: place for place, rule in enumerate(RULES)}
_CANONICAL = {alias: rule.name for rule in RULES for alias in (rule.name, *rule.aliases)}
_NO_NAME = frozenset({"", "none", "null", "unknown", "na", "n_a"})
_WORDS = {
    rule.name: re.compile("|".join(rf"\b(?:{word})[0-9]*\b" for word in rule.words))
    for rule in RULES
    if rule.words
}


def canonical(name: str) -> str:
    """The one name of a framework, or "" for a word that names none.

    An unknown framework keeps its name, in lower case with `_` between words: somebody's own
    trainer is worth showing too.
    """
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower())[:LONGEST_NAME].strip("_")
    return "" if slug in _NO_NAME else _CANONICAL.get(slug, slug)


def named_in(text: str) -> list[str]:
    """The frameworks a project's or a trainer's name speaks of, in the table's order.

    Whole words only, however they are joined: `ajax` does not speak of jax, `JaxTraining`, `my-jax`
    and `jax2_run` do.
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text[:1024])
    words = re.sub(r"[^a-z0-9]+", " ", parted.lower())
    return [name for name, pattern in _WORDS.items() if pattern.search(words)]
