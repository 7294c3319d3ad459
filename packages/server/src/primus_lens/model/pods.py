"""A pod and whose it is."""

import msgspec


class Pod(msgspec.Struct, frozen=True):
    """A pod of a workload. An empty namespace or pod_uid stands for any."""

    workload_uid: str
    namespace: str = ""
    pod_name: str = ""
    pod_uid: str = ""
