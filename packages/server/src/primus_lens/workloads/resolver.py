"""From a report's sender to the workloads it is stored under.

Called by ingest/intake; the lookup of pods is given to it, so that it stays pure deciding.
"""

from collections.abc import Awaitable, Callable, Sequence

from primus_lens.model.points import Sender, WorkloadUid

Lookup = Callable[[Sequence[Sender]], Awaitable[list[list[WorkloadUid]]]]


async def resolve(senders: Sequence[Sender], lookup: Lookup) -> list[list[WorkloadUid]]:
    """The workloads of each sender, in order; none for a pod nobody has seen.

    A workload_uid that is given wins; else the pod is looked up, and may belong to several.
    """
    by_pod = [sender for sender in senders if not sender.workload_uid]
    found = iter(await lookup(by_pod) if by_pod else [])
    return [
        [WorkloadUid(sender.workload_uid)] if sender.workload_uid else next(found)
        for sender in senders
    ]
