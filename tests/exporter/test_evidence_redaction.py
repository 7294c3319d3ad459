import json
import math
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primus_lens_wandb_exporter import _evidence, _redaction

BASE62 = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def key(length, alphabet=BASE62, seed=1):
    """Random letters, the same at every run: a key is made here, not written here."""
    return "".join(random.Random(seed).choices(alphabet, k=length))


# What the token of each issuer looks like.
SHAPES = {
    "aws-key-id": "AKIA" + key(16, string.ascii_uppercase + string.digits),
    "aws-secret": key(40, BASE62 + "/+", seed=4),
    "azure-account-key": "AccountKey=" + key(86) + "==",
    "basic-auth": "Basic " + key(24),
    "bearer": "Bearer " + key(20),
    "command-line": "--api-key " + key(8, string.ascii_lowercase),
    "discord": "https://discord.com/api/webhooks/1/" + key(12),
    "docker": "dckr_pat_" + key(27),
    "dsn": "host=db user=lens password=" + key(8, string.ascii_lowercase),
    "github": "gh" + "p_" + key(36),
    "github-fine": "github_" + "pat_" + key(22) + "_" + key(59),
    "gitlab": "gl" + "pat-" + key(20),
    "google": "AIza" + key(35),
    "hugging-face": "h" + "f_" + key(34),
    "jwt": "eyJ" + key(20) + ".eyJ" + key(30) + "." + key(43),
    "lens": "lens_" + key(8, HEX) + "_" + key(32),
    "npm": "np" + "m_" + key(36),
    "openai": "s" + "k-proj-" + key(40),
    "pem": "-----BEGIN RSA PRIVATE KEY-----\n" + key(64),
    "plain-64": key(64),
    "plain-hex": key(40, HEX),
    "pypi": "pyp" + "i-" + key(60),
    "slack": "xo" + "xb-" + key(12, string.digits) + "-" + key(24),
    "slack-hook": "https://hooks.slack.com/services/" + key(9) + "/" + key(9),
    "stripe": "s" + "k_live_" + key(24),
    "telegram": key(9, string.digits) + ":" + key(35),
    "url-password": "postgresql://lens:" + key(8, string.ascii_lowercase) + "@db/lens",
    "url-query": "https://bucket/data?X-Amz-Signature=" + key(12, HEX),
    "url-sas": "https://account.blob.core.windows.net/c?sv=1&sig=" + key(12),
    "url-user": "https://" + key(12, string.ascii_lowercase) + "@git.example.com/model.git",
    "wandb": key(40, HEX, seed=9),
}


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_secret_is_recognised(shape):
    """A value that holds a token does not leave, whatever stands around it."""
    assert _redaction.text(SHAPES[shape]) == "[redacted]"
    assert _redaction.text(f"model at ({SHAPES[shape]}) v2") == "[redacted]"


@pytest.mark.parametrize("alphabet", [BASE62, HEX, string.ascii_lowercase + string.digits])
def test_random_keys_are_recognised(alphabet):
    """Of a thousand random keys of 32 letters and digits, at most one looks like a word."""
    keys = [key(32, alphabet, seed) for seed in range(1000)]
    assert sum(not _redaction.is_secret(one) for one in keys) <= 1


@pytest.mark.parametrize(
    "value",
    [
        "meta-llama/Llama-3.1-8B-Instruct",
        "Mixtral-8x7B-Instruct-v0.1",
        "Gemma3ForConditionalGeneration",
        "Qwen2VLForConditionalGeneration",
        "DeepseekV3ForCausalLM",
        "GPT2BPETokenizer",
        "hf_trainer",
        "pytorch_lightning",
        "transformers.trainer_seq2seq.Seq2SeqTrainer",
        "bf16-mixed",
        "max_tokens",
        "/mnt/data/checkpoints/llama3/run-2024-01-01/step_100000",
        "s3://bucket/tokenized/c4",
        "https://huggingface.co/datasets/allenai/c4",
        "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6,GPU-8932f937-d72c-4106-c12f-20bd9faed9f7",
        "0,1,2,3,4,5,6,7",
        "sweet-frog-12",
        "",
    ],
)
def test_everyday_values_pass(value):
    """What models, datasets, paths and runs are called is not taken for a secret."""
    assert _redaction.text(value) == value


def test_fifty_secrets_stay():
    """Of fifty secrets in environment, config, URLs, tags and names, none is in the report."""
    tokens = list(SHAPES.values())
    words = [key(9, string.ascii_lowercase, seed) for seed in range(100, 125)]
    names = ("PASSWORD", "HF_TOKEN", "WANDB_API_KEY", "DB_PASS", "PRIMUS_LENS_API_TOKEN", "HOME")
    allowed = sorted(_redaction.ENVIRONMENT)
    env = {
        **dict(zip(names, words[:6], strict=True)),
        **dict(zip(allowed, tokens[:10], strict=False)),
    }
    settings = sorted(_redaction.CONFIG)
    config = {
        **dict(zip(settings, tokens[10:16], strict=False)),
        "api_key": words[6],
        words[7]: 1,
        words[8]: {"lr": 0.1},
        "note": words[9],
        "model": {
            "password": words[10],
            "tokenizer": words[11],
            "model_name": tokens[16],
            "dataset": [tokens[17], [words[12]], {"name": words[13]}],
            "optimizer": {"lr": words[14].encode(), "data": {"deeper": {"model": words[15]}}},
            "trainer": {"model": {"optim": {"model_name": words[16]}}},
        },
        "vault": {"framework": words[17]},
        "vault.framework": words[18],
        "data/password": words[19],
        "seed": type("Secret", (), {"__repr__": lambda _: words[20]})(),
        20: words[21],
    }
    run = {
        "project": tokens[18],
        "name": tokens[19],
        "id": "abc",
        "config": config,
        "tags": [*tokens[20:], words[22].encode()],
        "entity": words[23],
        "notes": words[24],
    }
    sent = json.dumps(_evidence.collect(env, run))
    planted = tokens + words
    assert len(planted) >= 50
    assert [secret for secret in planted if secret in sent or json.dumps(secret) in sent] == []
    assert sent.count("[redacted]") == len(tokens)


def test_environment_is_an_allow_list():
    """A variable that is not on the list does not leave, however harmless."""
    env = {"RANK": "0", "HOME": "/root", "PRIMUS_LENS_API_BASE_URL": "http://lens"}
    assert _redaction.allowed_environment(env) == {"RANK": "0"}


def test_config_keeps_its_shape():
    """Known settings stay where they are; groups without any are gone."""
    config = {
        "lr": 3e-4,
        "bf16": True,
        "Seed": 7,
        "model": {"hidden_size": 4096, "init": {"std": 0.02}},
        "optimizer.lr": 0.1,
        "trainer/max_epochs": 3,
        "devices": [0, 1, None, [2]],
        "dataset": None,
        "data": {"cache": {"path": "/x"}},
    }
    assert _redaction.allowed_config(config) == {
        "lr": 3e-4,
        "bf16": True,
        "Seed": 7,
        "model": {"hidden_size": 4096},
        "optimizer.lr": 0.1,
        "trainer/max_epochs": 3,
        "devices": [0, 1],
    }


@pytest.mark.parametrize("config", [None, [], "lr=1", 3])
def test_config_that_is_none(config):
    """What is no mapping has no settings."""
    assert _redaction.allowed_config(config) == {}


def test_numbers_json_cannot_write():
    """NaN and infinities are sent as the protocol writes them."""
    config = {"lr": math.nan, "min_lr": -math.inf, "clip_grad": math.inf, "seed": -(10**400)}
    assert _redaction.allowed_config(config) == {
        "lr": "NaN",
        "min_lr": "-Infinity",
        "clip_grad": "Infinity",
        "seed": "-Infinity",
    }


def test_long_lists_are_cut():
    """A list keeps its first 32 items."""
    assert len(_redaction.allowed_config({"devices": list(range(1000))})["devices"]) == 32


@given(st.text(max_size=2000))
def test_text_can_be_sent(value):
    """Whatever a text was, what is left is UTF-8 without NUL and at most 256 characters."""
    sent = _redaction.text(value)
    assert len(sent) <= 256
    assert "\0" not in sent
    assert sent.encode().decode() == sent


def test_secret_behind_the_cut_is_not_cut_in_two():
    """A token that the cut would halve is hidden all the same."""
    value = "x " * 120 + SHAPES["github"]
    assert _redaction.text(value) == "[redacted]"


def test_lone_surrogate():
    """What the environment could not decode becomes a question mark."""
    assert _redaction.text("caf\udce9\0") == "caf?"


NAMED = st.sampled_from([*sorted(_redaction.CONFIG), "password", "api_key"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMED, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMED, JSON, max_size=5))
def test_any_config_gives_json(config):
    """Whatever a config holds, what is left can be written as strict JSON."""
    json.dumps(_redaction.allowed_config(config), allow_nan=False)
