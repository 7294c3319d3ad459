"""Whether a folder lies on this machine, told from the mount table without touching the folder.

A network file system may hang for minutes, and even asking it for a folder's status may hang.
"""

import os

_LOCAL_FUSE = ("fuse.fuse-overlayfs",)  # the root of rootless containers
_REMOTE = (
    "nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "orangefs", "pvfs",
    "glusterfs", "wekafs", "panfs", "fuse", "virtiofs", "ocfs2", "gfs2",
)  # fmt: skip
_IN_PLACE = ("ext2", "ext3", "ext4", "xfs", "tmpfs")
_MOUNTS = "/proc/self/mountinfo"


def is_local(folder: str, mounts: str = _MOUNTS) -> bool:
    """Say whether a folder is on a local file system; yes when the mount table cannot be read."""
    kind = _kind(folder, mounts)
    return kind in _LOCAL_FUSE or not kind.startswith(_REMOTE)


def overwrites_in_place(folder: str, mounts: str = _MOUNTS) -> bool:
    """Say whether a file system is known to need no room to change bytes that are allocated."""
    return _kind(folder, mounts) in _IN_PLACE


def _kind(folder: str, mounts: str) -> str:
    """Return the type of the file system a folder lies on, "" when nothing tells."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.readlines()
    except OSError:
        return ""
    path = os.path.abspath(folder)
    best, kind = "", ""
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split()
        if len(fields) < 5 or not right:  # noqa: PLR2004 - the mount point is the fifth field
            continue
        point = fields[4].replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind
