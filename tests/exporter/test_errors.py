"""What counts our errors makes none itself."""

import time

from primus_lens_wandb_exporter import _errors, _guard


def test_counting_an_error_never_raises(monkeypatch):
    """With the clock replaced under us, an error of ours is still counted and goes no further."""
    monkeypatch.setattr(_guard, "reraise", False)
    monkeypatch.setattr(_errors, "debug", True)
    monkeypatch.setattr(_errors, "counts", {})
    monkeypatch.setattr(time, "monotonic", lambda: "no number")
    with _guard.guard("here"):
        raise OSError("ours")
    assert _errors.counts == {"here": 1}
