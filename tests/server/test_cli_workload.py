"""`primus-lens pods add | list | remove` and `primus-lens workload delete`."""

import chunk_reading as reading
import pytest
from click.testing import CliRunner
from serving import run

from primus_lens.cli import main


@pytest.fixture
def said(tmp_path, database_dsn):
    """What a command says to some words, on a database of the test's own: (status, text)."""
    path = tmp_path / "config.yaml"
    path.write_text(f"database: {{dsn: '{database_dsn}'}}\n")

    def say(*words, answer=None):
        done = CliRunner().invoke(main, [*words, "--config", str(path)], input=answer)
        return done.exit_code, done.output

    return say


def test_pods_are_added_listed_and_removed(said):
    """A pod is known from add to remove."""
    names = ("--workload", "w", "--pod", "p")
    assert said("pods", "add", *names, "--namespace", "ns") == (0, "The pod is known now.\n")
    assert said("pods", "add", *names, "--namespace", "ns") == (0, "The pod was known before.\n")
    _, text = said("pods", "list")
    assert [line.split() for line in text.splitlines()] == [
        ["WORKLOAD", "NAMESPACE", "POD", "POD", "UID"],
        ["w", "ns", "p", "-"],
    ]
    assert said("pods", "remove", *names) == (0, "1 forgotten.\n")
    assert said("pods", "remove", *names)[0] == 2


def test_pod_without_a_name_is_refused(said):
    """A workload alone is no pod."""
    status, text = said("pods", "add", "--workload", "w")
    assert (status, text) == (2, "primus-lens: say which pod, with --pod or --pod-uid\n")


def test_list_says_when_it_is_cut(said, monkeypatch):
    """More pods than are shown are told."""
    monkeypatch.setattr("primus_lens.cli_workload._SHOWN", 1)
    for pod in ("p", "q"):
        said("pods", "add", "--workload", "w", "--pod", pod)
    assert "and 1 more" in said("pods", "list", "--workload", "w")[1]


def test_workload_is_deleted_when_that_is_meant(said, database_dsn):
    """Deleting asks first, says what went, and says so when there is nothing."""

    async def fill():
        async with reading.opened(database_dsn) as database:
            await reading.store(database, reading.report("w", [(1, 1.0, {"a": 1}, {})]))

    run(fill())
    assert said("workload", "delete", "w", answer="n\n")[0] == 1
    status, text = said("workload", "delete", "w", answer="y\n")
    assert status == 0
    assert text.endswith("Workload w is deleted: 1 steps, 1 latest values, 1 changes, 1 runs.\n")
    assert said("workload", "delete", "w", "--yes") == (
        2,
        "primus-lens: there is no workload w; it may have been deleted before\n",
    )
