"""From senders to workloads; the lookup of pods is a plain function here."""

import asyncio

from primus_lens.model.points import Sender
from primus_lens.workloads import resolver


def resolved(senders, known):
    """What resolve says when pods are known by name, and the pods it asked for in each lookup."""
    asked = []

    async def lookup(wanted):
        asked.append([sender.pod_name for sender in wanted])
        return [known.get(sender.pod_name, []) for sender in wanted]

    return asyncio.run(resolver.resolve(senders, lookup)), asked


def test_given_workload_wins():
    """A report that names its workload is stored there, whatever its pod belongs to."""
    found, asked = resolved([Sender(workload_uid="w", pod_name="p")], {"p": ["other"]})
    assert found == [["w"]]
    assert asked == []


def test_pod_may_belong_to_several_workloads():
    """A report of a shared pod goes to each of its workloads."""
    assert resolved([Sender(pod_name="p")], {"p": ["a", "b"]})[0] == [["a", "b"]]


def test_unseen_pod_has_no_workload_and_is_no_error():
    """A pod nobody has seen resolves to nothing."""
    assert resolved([Sender(pod_name="p")], {})[0] == [[]]


def test_answers_keep_the_order_of_the_senders():
    """Named workloads and looked-up pods come back in the order asked, in one lookup."""
    senders = [
        Sender(pod_name="p1"),
        Sender(workload_uid="w"),
        Sender(pod_name="unseen"),
        Sender(pod_name="p2"),
    ]
    found, asked = resolved(senders, {"p1": ["a"], "p2": ["b"]})
    assert found == [["a"], ["w"], [], ["b"]]
    assert asked == [["p1", "unseen", "p2"]]
