"""The vendored libraries are what their list says."""

import hashlib
import re

from primus_lens.web.pages import STATIC

VENDOR = STATIC / "vendor"
ROW = re.compile(
    r"^\| .* \| `(?P<file>[^`]+)` \| `[^`]+` \| [^|]* \| `(?P<sum>[0-9a-f]{64})` \|", re.MULTILINE
)


def test_vendored_files_have_the_checksums_of_the_list():
    """Every library file is listed, and is byte for byte what the list describes."""
    listed = {row["file"]: row["sum"] for row in ROW.finditer((VENDOR / "README.md").read_text())}
    found = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.glob("*/*")
        if path.suffix in (".js", ".mjs", ".css")
    }
    assert found == listed


def test_every_library_stands_beside_its_licence():
    """No library is passed on without its licence text."""
    folders = [path for path in VENDOR.iterdir() if path.is_dir()]
    assert [path.name for path in folders if not (path / "LICENSE").is_file()] == []
