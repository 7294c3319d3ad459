"""The token of the exporter goes to the server it is for, and is written nowhere."""

import pytest
from receiver import Receiver, refuse

from primus_lens_wandb_exporter import _errors, _settings

TOKEN = "lens_k3v9x0q2ab_" + "5ec2e7" * 10


@pytest.fixture
def told(monkeypatch, capfd):
    """What the exporter has told so far when it tells everything."""
    monkeypatch.setattr(_errors, "debug", True)
    monkeypatch.setattr(_errors, "_told", {})
    monkeypatch.setattr(_errors, "kept", [])
    return lambda: capfd.readouterr().err + repr(_errors.kept)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_the_token_nowhere(transport, receiver, status):
    """A server that points to another host does not make the exporter go there."""
    other = Receiver()
    receiver.answer = refuse(status, Location=other.url + "/wandb/metrics")
    sent = transport(receiver.url, PRIMUS_LENS_API_TOKEN=TOKEN).post("/wandb/metrics", b"{}")
    other.close()
    assert sent.kind == "retry"
    assert other.requests == []
    assert receiver.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("token", [f"{TOKEN}\nsecond line", f"{TOKEN}\x7f", f"{TOKEN}…"])
def test_a_token_that_cannot_be_sent_is_not_quoted(transport, receiver, told, token):
    """A slip in the token keeps the rows and is told, without the token."""
    sent = transport(receiver.url, PRIMUS_LENS_API_TOKEN=token).post("/wandb/metrics", b"{}")
    assert (sent.kind, receiver.requests) == ("retry", [])
    assert "the token has a line break" in sent.said
    assert TOKEN not in sent.said
    everything = told()
    assert "the token has a line break" in everything
    assert TOKEN not in everything


@pytest.mark.parametrize("answer", [refuse(401), refuse(403), "cut"])
def test_a_refused_token_is_not_quoted(transport, receiver, told, answer):
    """Neither a refusal nor a lost connection makes the exporter tell the token."""
    receiver.answer = answer if callable(answer) else lambda _: answer
    sent = transport(receiver.url, PRIMUS_LENS_API_TOKEN=TOKEN).post("/wandb/metrics", b"{}")
    assert sent.kind == "retry"
    assert TOKEN not in sent.said + told()


def test_the_settings_do_not_show_the_token():
    """What a debugger or a traceback shows of the settings has no token in it."""
    assert TOKEN not in repr(_settings.read({"PRIMUS_LENS_API_TOKEN": TOKEN}))
