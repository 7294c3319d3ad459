"""What counts our errors makes none itself."""

import sys
import time

from primus_lens_wandb_exporter import _errors, _guard


class Refusing:
    """Stands in for stderr."""

    def write(self, _text):
        """Refuse."""
        raise RuntimeError("not now")


def test_counting_an_error_never_raises(monkeypatch):
    """With the clock replaced under us, an error of ours is still counted and goes no further."""
    monkeypatch.setattr(_guard, "reraise", False)
    monkeypatch.setattr(_errors, "debug", True)
    monkeypatch.setattr(_errors, "counts", {})
    monkeypatch.setattr(time, "monotonic", lambda: "no number")
    with _guard.guard("here"):
        raise OSError("ours")
    assert _errors.counts == {"here": 1}


def test_telling_an_error_never_raises(monkeypatch):
    """What a job puts in the place of stderr may refuse in any way."""
    monkeypatch.setattr(_errors, "debug", True)
    monkeypatch.setattr(_errors, "_told", {})
    monkeypatch.setattr(sys, "stderr", Refusing())
    _errors.tell("post", "no server")
    assert "post" in _errors._told
