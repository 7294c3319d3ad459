"""What of a config stays at home."""

import pytest

from primus_lens.importing.redaction import REDACTED, without_secrets


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "HF_TOKEN",
        "wandb-api-key",
        "db_password",
        "secret",
        "auth_header",
        "aws_access_key",
        "creds",
    ],
)
def test_name_of_a_credential_is_enough(name):
    """A text that is called like a credential does not leave."""
    assert without_secrets({"group": {name: "harmless"}}) == {"group": {name: REDACTED}}


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:pass@host/db",
        "-----BEGIN PRIVATE KEY-----",
        "https://host/path?token=abc",
        "hf_AbCdEfGhIjKlMnOp",
        "sk-proj-0123456789abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "Bearer 0123456789",
        "https://host/blob?sig=abc",
        "password: swordfish",
        "{'api_key': 'swordfish'}",
        "train.py --hub-token swordfish --lr 1",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)
def test_look_of_a_credential_is_enough(text):
    """A text that looks like a credential does not leave, whatever it is called."""
    assert without_secrets({"note": [text]}) == {"note": [REDACTED]}


@pytest.mark.parametrize(
    "value",
    [
        "meta-llama/Llama-3.1-8B-Instruct",
        "DeepseekV3ForCausalLMWithValueHeadAndMore",
        "/data/checkpoints/run-7/step_1000",
        "s3://bucket/path",
        "key: value, tokens: 5",
        "",
        0.1,
        17,
        True,
        None,
    ],
)
def test_what_is_harmless_stays_as_it_is(value):
    """Names of models, paths and numbers arrive."""
    assert without_secrets({"model": value}) == {"model": value}


def test_what_a_flag_sets_does_not_leave():
    """In a list of arguments the text behind a credential's flag is one; other flags' stay."""
    argv = ["train.py", "--lr", "0.1", "--api-key", "swordfish", "--hub_token", "sesame", "--bf16"]
    left = ["train.py", "--lr", "0.1", "--api-key", REDACTED, "--hub_token", REDACTED, "--bf16"]
    assert without_secrets({"argv": argv}) == {"argv": left}


@pytest.mark.parametrize("name", ["tokenizer", "max_tokens", "author_count"])
def test_numbers_and_tokenizers_are_no_credentials(name):
    """A number is sent whatever it is called."""
    assert without_secrets({name: 5}) == {name: 5}


def test_text_is_cut_and_made_storable():
    """A document is cut; NUL and lone surrogates, which no database takes, are gone."""
    text = without_secrets("a b\0\ud800" + " c" * 1000)
    assert len(text) == 1000
    assert text.startswith("a b?")
