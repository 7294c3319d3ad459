"""Which database a reader's `cluster=` names. Comes before the reading endpoints."""

from collections.abc import Mapping

from primus_lens.model import errors
from primus_lens.store.database import Database


class Planes:
    """Data planes by name. own: the one that is read when none is named."""

    def __init__(self, every: Mapping[str, Database], own: str) -> None:
        self.every = every
        self._own = own

    def name(self, cluster: str) -> str:
        """The name of a plane; the own one for "". Raises UnknownCluster."""
        if (cluster or self._own) not in self.every:
            known = ", ".join(sorted(self.every))
            raise errors.UnknownCluster(f'there is no cluster "{cluster}"; known are: {known}')
        return cluster or self._own

    def __getitem__(self, cluster: str) -> Database:
        """The plane of a name, as `name`."""
        return self.every[self.name(cluster)]
