"""What may leave the job's process: names by allow-list, values by rule.

A name that is not on the list does not leave at all, so a password under `db_password` never gets
as far as a rule. The rules are for what people put where it does not belong: a token in a model's
path, a password in a dataset's URL. Whoever adds a name to a list: could its value name a person,
a customer or a key?
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

REDACTED = "[redacted]"
LONGEST_TEXT = 256  # characters of one value that are sent
MOST_ITEMS = 32  # of one list
DEEPEST = 3  # levels of nesting in a config
_NAME_SHARE = 0.35  # between a name's share of words and a key's, see _looks_random
_KEY_TURNS = 4  # from letter to digit and back
_LONGEST_LOOK = 1024  # characters searched for secrets: a secret that starts before the cut is seen

ENVIRONMENT = frozenset(
    {
        "PRIMUS_CONFIG",
        "PRIMUS_BACKEND",
        "PRIMUS_VERSION",
        "PRIMUS_PATH",
        "PRIMUS_WORKDIR",
        "PRIMUS_THIRDPARTY_DIR",
        "PRIMUS_EXP_NAME",
        "PRIMUS_TEAM",
        "BACKEND_PATH",
        "DEEPSPEED_CONFIG",
        "DEEPSPEED_VERSION",
        "DS_CONFIG",
        "MEGATRON_CONFIG",
        "MEGATRON_LM_PATH",
        "JAX_BACKEND",
        "JAX_PLATFORMS",
        "KERAS_BACKEND",
        "UNSLOTH_IS_PRESENT",
        "ACCELERATE_USE_DEEPSPEED",
        "ACCELERATE_USE_FSDP",
        "ACCELERATE_USE_MEGATRON_LM",
        "ACCELERATE_MIXED_PRECISION",
        "RANK",
        "LOCAL_RANK",
        "NODE_RANK",
        "GROUP_RANK",
        "WORLD_SIZE",
        "LOCAL_WORLD_SIZE",
        "TORCHELASTIC_RESTART_COUNT",
        "SLURM_JOB_ID",
        "SLURM_NNODES",
        "SLURM_NTASKS",
        "SLURM_PROCID",
        "CUDA_VISIBLE_DEVICES",
        "HIP_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES",
        "CUDA_DEVICE_MAX_CONNECTIONS",
        "NCCL_DEBUG",
        "NCCL_IB_DISABLE",
    }
)

_SETTINGS = """
    framework base_framework trainer backend strategy accelerator devices num_nodes world_size
    gpus_per_node primus_config deepspeed_config megatron_config deepspeed
    model model_name model_name_or_path model_type model_size architecture arch num_layers
    n_layers hidden_size ffn_hidden_size intermediate_size num_attention_heads num_key_value_heads
    num_hidden_layers num_experts vocab_size seq_length seq_len sequence_length max_seq_length
    max_position_embeddings
    dataset dataset_name tokenizer_type
    precision mixed_precision dtype torch_dtype bf16 fp16 fp8 tf32
    optimizer optim lr learning_rate min_lr weight_decay adam_beta1 adam_beta2 adam_epsilon
    warmup_steps warmup_ratio lr_scheduler_type lr_decay_style lr_warmup_iters clip_grad
    max_grad_norm gradient_clipping
    batch_size micro_batch_size global_batch_size train_batch_size local_batch_size
    per_device_train_batch_size per_device_eval_batch_size gradient_accumulation_steps
    steps max_steps total_steps train_iters training_steps total_training_steps num_train_epochs
    epochs max_epochs seed logging_steps log_interval save_steps save_interval eval_steps
    eval_interval num_workers gradient_checkpointing recompute_granularity
    tensor_model_parallel_size pipeline_model_parallel_size context_parallel_size
    expert_model_parallel_size data_parallel_size sequence_parallel tensor_parallel_degree
    pipeline_parallel_degree data_parallel_shard_degree data_parallel_replicate_degree
    context_parallel_degree zero_stage stage fsdp
"""
CONFIG = frozenset(_SETTINGS.split())

# Groups of settings, entered to look for the names above; every other group stays closed.
_SECTIONS = """
    framework trainer training train model optimizer optim scheduler lr_scheduler data dataset
    parallelism parallel distributed strategy deepspeed deepspeed_config megatron megatron_config
    primus_config primus zero_optimization fp16 bf16 args config hparams job fsdp
"""
_GROUPS = frozenset(_SECTIONS.split())

_SECRET = re.compile(
    r"""
      -----BEGIN\ [A-Z ]*PRIVATE\ KEY                          # PEM
    | ://[^/\s?\#]*@                                           # user or password in a URL
    | [?&;](?:[a-z_-]*(?:token|secret|signature|password|key|auth|credential)|sig|pwd|code)=
    | (?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|(?:access|secret|private|account)
         [_-]?key(?:[_-]?id)?|credentials?|auth(?:orization)?)
      ["']?\s*[=:]\s*["']?\S                                   # name=value, name: value
    | --(?:[a-z]+-)*(?:password|secret|token|key)[=\ ]\S       # command line
    | \b(?:bearer|basic|digest)\s+[a-z0-9+/._~=-]{8,}          # authorization header
    | \b(?:gh[pousr]_|github_pat_|glpat-|glptt-|sk-|[srp]k_(?:live|test)_|whsec_|xox[abeoprs]-|xapp-
         |npm_|pypi-|nvapi-|gsk_|pcsk_|dop_v1_|dckr_pat_|shpat_|lin_api_|ntn_|tskey-|wandb_v1_
         |lens_[a-z0-9]+_|hvs\.|ATATT|SG\.|ya29\.|eyj[a-z0-9_-]{8,}\.)[a-z0-9_.-]{16,}
    | \b(?:hf|r8|api_org)_[a-z0-9]{16,}                        # issuers that mark their tokens
    | \b(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{12,}                   # AWS key ids
    | \bAIza[0-9a-z_-]{20,}                                    # Google
    | \bage-secret-key-                                        # age
    | \b[0-9]{8,10}:[a-z0-9_-]{35}\b                           # Telegram bots
    | hooks\.slack\.com/|discord(?:app)?\.com/api/webhooks/    # secrets that are a path
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BASE64 = re.compile(r"\b(?=\S*[a-z])(?=\S*[A-Z])(?=\S*[0-9])[A-Za-z0-9/+]{40}(?![\w/+.-])")
_UNBROKEN = re.compile(r"[A-Za-z0-9+=]{20,}")  # as long as no word is
_HEX = re.compile(r"[0-9a-fA-F]{32,}")
_WORD = re.compile(r"[a-z]{4,}")
_TURN = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")


def is_secret(value: str) -> bool:
    """Whether a text looks like it holds a credential. In doubt it does."""
    if _SECRET.search(value) or _BASE64.search(value) or _HEX.search(value):
        return True
    return any(_looks_random(run) for run in _UNBROKEN.findall(value))


def _looks_random(run: str) -> bool:
    """Whether a run of letters and digits is a key rather than a name.

    Of a name such as `DeepseekV3ForCausalLM` more than half stands in four or more small letters
    in a row, of a random key less than a tenth. Keys of small letters and digits alone are told by
    their digits: letters and digits take turns in them, in a name once or twice.
    """
    in_words = sum(len(word) for word in _WORD.findall(run))
    return in_words < _NAME_SHARE * len(run) or len(_TURN.findall(run)) >= _KEY_TURNS


def text(value: str, limit: int = LONGEST_TEXT) -> str:
    """A text as it may be sent: without secrets, NUL and lone surrogates, at most `limit` long."""
    looked_at = value[:_LONGEST_LOOK]
    if is_secret(looked_at):
        return REDACTED
    clean = looked_at.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return clean[:limit]


def allowed_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that may be sent, by name."""
    return {name: text(env[name]) for name in sorted(ENVIRONMENT) if name in env}


def allowed_config(config: Optional[Mapping[str, Any]]) -> dict[str, Any]:
    """The part of a run's config that may be sent: known names, numbers and short texts.

    Nested groups keep their shape, `group.name` and `group/name` count as nested; what is not on
    the list leaves no trace. Numbers that JSON cannot write become "NaN", "Infinity", "-Infinity".
    """
    return _group(config, DEEPEST) if isinstance(config, Mapping) else {}


def _group(group: Mapping[str, Any], deepest: int) -> dict[str, Any]:
    allowed: dict[str, Any] = {}
    for key, value in list(group.items()):
        *groups, name = re.split(r"[./]", key.lower()) if isinstance(key, str) else [""]
        kept = None
        if not _GROUPS.issuperset(groups):
            continue
        if not isinstance(value, Mapping):
            kept = _value(value) if name in CONFIG else None
        elif name in _GROUPS and deepest > 1:
            kept = _group(value, deepest - 1) or None
        if kept is not None:
            allowed[key] = kept
    return allowed


def _value(value: object) -> Any:
    """The value as JSON can carry it, None for what must not or cannot be sent."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, (bool, int, float)):
        return number(value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        items = [
            _value(item)
            for item in value[:MOST_ITEMS]
            if not isinstance(item, Sequence) or isinstance(item, str)
        ]
        return [item for item in items if item is not None]
    return None


def number(value: float) -> Union[float, str]:
    """A number as the protocol writes it: one that no finite float64 holds is named."""
    if abs(value) <= sys.float_info.max:
        return value
    if value != value:  # noqa: PLR0124 - only NaN is not itself
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
