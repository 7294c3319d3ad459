"""Who is reporting: the workload, the pod and the place of this process in the job."""

import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Optional

from primus_lens_wandb_exporter import _settings

_NAME_LIMIT = 255  # protocol/v1


@dataclass(frozen=True)
class Identity:
    """What a report is addressed with, and where in the job it comes from.

    workload_uid, pod_uid, pod_name, namespace: as the platform set them, "" where it did not.
    guessed: the pod name is the host name, because neither WORKLOAD_UID nor POD_NAME is set.
    rank, local_rank, node_rank, world_size: None where the launcher did not say.
    """

    workload_uid: str = ""
    pod_uid: str = ""
    pod_name: str = ""
    namespace: str = ""
    hostname: str = ""
    guessed: bool = False
    rank: Optional[int] = None
    local_rank: Optional[int] = None
    node_rank: Optional[int] = None
    world_size: Optional[int] = None

    def address(self) -> dict[str, str]:
        """Return the fields every report carries; empty ones are left out."""
        fields = {
            "workload_uid": self.workload_uid,
            "pod_uid": self.pod_uid,
            "pod_name": self.pod_name,
            "namespace": self.namespace,
        }
        return {name: text for name, text in fields.items() if text}

    def place(self) -> dict[str, Any]:
        """Return the fields of the `run` object that say where the process runs."""
        fields = {
            "hostname": self.hostname or None,
            "rank": self.rank,
            "local_rank": self.local_rank,
            "node_rank": self.node_rank,
            "world_size": self.world_size,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def plain(self) -> dict[str, Any]:
        """Return every field, for the head of a spool segment."""
        return asdict(self)


def from_env(env: Mapping[str, str]) -> Identity:
    """Read the identity from a copy of the environment.

    Ranks as torchrun, SLURM, Open MPI and PyTorchJob (PET_) name them. A Kubernetes pod's host name
    is its name, so it stands in when nothing else names the report's workload.
    """
    hostname = env.get("HOSTNAME", "").strip() or socket.gethostname()
    workload_uid = _name(env, "WORKLOAD_UID")
    pod_name = _name(env, "POD_NAME")
    guessed = not workload_uid and not pod_name
    return Identity(
        workload_uid=workload_uid,
        pod_uid=_name(env, "POD_UID"),
        pod_name=hostname[:_NAME_LIMIT] if guessed else pod_name,
        namespace=_name(env, "POD_NAMESPACE") or _name(env, "NAMESPACE"),
        hostname=hostname[:_NAME_LIMIT],
        guessed=guessed,
        rank=_settings.integer(env, "RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"),
        local_rank=_settings.integer(
            env, "LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"
        ),
        node_rank=_settings.integer(
            env, "NODE_RANK", "GROUP_RANK", "PET_NODE_RANK", "SLURM_NODEID"
        ),
        world_size=_settings.integer(env, "WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"),
    )


def from_plain(fields: Mapping[str, Any]) -> Identity:
    """Read an identity back from the head of a segment; unknown fields are ignored."""
    known = Identity.__dataclass_fields__
    return Identity(**{name: value for name, value in fields.items() if name in known})


def _name(env: Mapping[str, str], variable: str) -> str:
    return env.get(variable, "").strip()[:_NAME_LIMIT]
