"""Variables are read once, and one that cannot be read leaves its default in force."""

import dataclasses
import os
import tempfile

import pytest

from primus_lens_wandb_exporter import _activate, _identity, _settings


def test_defaults_are_those_of_the_specification():
    """Without variables reports go to the cluster's own telemetry-processor."""
    found = _settings.read({})
    assert found.base_url == "http://primus-lens-telemetry-processor:8080/api/v1"
    assert (found.reporting, found.save_local, found.enhance, found.mark_rows) == (
        True,
        True,
        False,
        True,
    )
    assert found.spool_dir == f"{tempfile.gettempdir()}/primus-lens-{os.getuid()}"
    assert found.bad == ()


BAD = {
    "PRIMUS_LENS_API_BASE_URL": ["host:80", "ftp://host", "http://", "http://[::1", "http://h:x"],
    "PRIMUS_LENS_WANDB_BATCH_SIZE": ["0", "-3", "ten", "1.5"],
    "PRIMUS_LENS_WANDB_FLUSH_INTERVAL": ["0", "nan", "-1", "inf", "1e9", "soon"],
    "PRIMUS_LENS_WANDB_SPOOL_BYTES": ["-1", "64M"],
    "PRIMUS_LENS_WANDB_API_REPORTING": ["maybe", "2"],
}


@pytest.mark.parametrize("name, text", [(name, text) for name in BAD for text in BAD[name]])
def test_a_bad_value_is_noted_and_changes_nothing(name, text):
    """The default stays, and the variable is named among the bad ones."""
    found = _settings.read({name: text})
    assert found.bad == (f"{name}={text!r}",)
    defaults = _settings.read({})
    assert found == dataclasses.replace(
        defaults, bad=found.bad, base_url_given=found.base_url_given
    )


def test_what_an_address_says_of_a_user_is_left_out():
    """User and password of an address are not kept, and a bad value that holds them is not told."""
    found = _settings.read({"PRIMUS_LENS_API_BASE_URL": "https://me:hunter2@lens:8080/api/v1/"})
    assert (found.base_url, found.bad) == ("https://lens:8080/api/v1", ())
    found = _settings.read({"PRIMUS_LENS_API_BASE_URL": "http://me:hunter2@lens:port"})
    assert found.bad == ("PRIMUS_LENS_API_BASE_URL='[redacted]'",)


def test_without_a_temporary_directory_the_usual_one_is_named(monkeypatch):
    """Where no folder can be written the settings can still be read."""

    def nowhere():
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    assert _settings.read({}).spool_dir == f"/tmp/primus-lens-{os.getuid()}"  # noqa: S108 - as named


@pytest.mark.parametrize(
    "word, truth", [("TRUE", True), ("on", True), (" 0 ", False), ("No", False)]
)
def test_switches_know_the_usual_words(word, truth):
    """true, 1, yes, on and their opposites, in any case and with blanks around."""
    assert _settings.read({"PRIMUS_LENS_WANDB_DEBUG": word}).debug is truth


@pytest.mark.parametrize("word, on", [("", True), ("true", True), ("Off", False), ("no", False)])
def test_the_hook_is_on_unless_told_otherwise(monkeypatch, word, on):
    """PRIMUS_LENS_WANDB_HOOK switches off with the words that mean no, and only with them."""
    monkeypatch.setenv("PRIMUS_LENS_WANDB_HOOK", word)
    assert _activate.switched_on() is on


def test_the_spool_is_never_the_given_folder_itself():
    """The folder may be shared, so ours is a private one within it."""
    found = _settings.read({"PRIMUS_LENS_WANDB_SPOOL_DIR": "/mnt/all"})
    assert found.spool_dir == f"/mnt/all/primus-lens-{os.getuid()}"


def test_identity_of_a_pod():
    """The platform's variables name workload and pod; empty ones are left out."""
    env = {"WORKLOAD_UID": "w", "POD_UID": "u", "POD_NAME": "p", "NAMESPACE": "n", "HOSTNAME": "h"}
    found = _identity.from_env(env)
    assert found.address() == {
        "workload_uid": "w",
        "pod_uid": "u",
        "pod_name": "p",
        "namespace": "n",
    }
    assert found.place() == {"hostname": "h"}


def test_the_host_name_stands_in_for_the_pod():
    """With neither workload nor pod named, a report is addressed with the host name."""
    found = _identity.from_env({"HOSTNAME": "training-0"})
    assert (found.address(), found.guessed) == ({"pod_name": "training-0"}, True)


@pytest.mark.parametrize(
    "env, place",
    [
        ({"RANK": "3", "LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "8"}, (3, 1, 0, 8)),
        ({"SLURM_PROCID": "5", "SLURM_LOCALID": "2", "SLURM_NODEID": "1"}, (5, 2, 1, None)),
        ({"PET_NODE_RANK": "4"}, (None, None, 4, None)),
        ({"RANK": "zero", "WORLD_SIZE": "", "LOCAL_RANK": "--1"}, (None, None, None, None)),
        ({"RANK": "zero", "SLURM_PROCID": "7"}, (7, None, None, None)),
    ],
)
def test_ranks_of_the_usual_launchers(env, place):
    """torchrun, SLURM and PyTorchJob are understood; what is no number is as if it were unset."""
    found = _identity.from_env(env)
    assert (found.rank, found.local_rank, found.node_rank, found.world_size) == place


def test_an_identity_survives_the_spool():
    """What a segment's head keeps reads back equal, unknown fields aside."""
    found = _identity.from_env({"POD_NAME": "p", "RANK": "1"})
    assert _identity.from_plain({**found.plain(), "later": 1}) == found


PATHS = {
    "PRIMUS_LENS_WANDB_SPOOL_DIR": "spool_dir",
    "PRIMUS_LENS_WANDB_OUTPUT_PATH": "output_path",
    "PRIMUS_LENS_API_TOKEN_FILE": "token_file",
}


@pytest.mark.parametrize("name, field", PATHS.items())
def test_a_relative_path_is_fixed_when_it_is_read(tmp_path, monkeypatch, name, field):
    """A job that changes its working directory later leaves its spool, file and token in place."""
    monkeypatch.chdir(tmp_path)
    assert getattr(_settings.read({name: "here/x"}), field).startswith(f"{tmp_path}/here/x")


def test_a_relative_path_without_a_working_directory_stays(tmp_path, monkeypatch):
    """In a folder that was deleted the settings can still be read."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert _settings.read({"PRIMUS_LENS_WANDB_OUTPUT_PATH": "x"}).output_path == "x"
