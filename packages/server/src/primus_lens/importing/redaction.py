"""What a file says of a run and stays at home: what is called like a credential, or looks like one.

Whoever imports a run knows its file, but not who reads the fleet's pages. In doubt a text is
left out; numbers, true and false are not in doubt.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

REDACTED = "[redacted]"
LONGEST_TEXT = 1_000  # characters of one value: enough for a path, too little for a document

_NAME = re.compile(
    r"pass(?:word|wd|phrase|code)|pwd|secret|token(?!i[sz])|(?:api|access|private|account|ssh)[_-]?key"
    r"|cred(?:s|ential)|auth|cookie|webhook|dsn|connection[_-]?string",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"-----BEGIN|://[^/\s?#]*@|hooks\.slack\.com|\b(?:bearer|basic)\s+\S{8,}"
    r"|(?:token|secret|signature|password|passwd|key|auth|pwd)=\S|[?&;](?:sig|code|credential)=\S"
    r"|(?:password|passwd|secret|token|(?:api|access|secret|private)[_-]?key)[\"']?\s*:\s*[\"']?\S"
    r"|--(?:[a-z]+-)*(?:password|secret|token|key)\s+\S"
    r"|\b(?:sk-|hf_|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|AKIA|ASIA|AIza|eyJ|lens_)[\w.-]{10,}",
    re.IGNORECASE,
)
_FLAG = re.compile(r"--?(?:[a-z]+[_-])*(?:password|passwd|secret|token|key)", re.IGNORECASE)
_LONG_RUN = re.compile(r"[A-Za-z0-9+=_]{32,}")
_WORD = re.compile(r"[a-z]{4,}")


def without_secrets(node: Any, name: str = "") -> Any:  # noqa: ANN401 - a JSON tree
    """The tree with texts that may be secrets replaced. name: that the node goes by."""
    if isinstance(node, Mapping):
        return {key: without_secrets(value, f"{name}.{key}") for key, value in node.items()}
    if isinstance(node, list):
        return list(_items(node, name))
    if isinstance(node, str):
        text = node.replace("\0", "")[:LONGEST_TEXT].encode("utf-8", "replace").decode()
        return REDACTED if _NAME.search(name) or _looks_secret(text) else text
    return node


def _items(items: Sequence[Any], name: str) -> Iterator[Any]:
    """A list's entries; a text behind a flag such as --api-key, as in argv, is what it sets."""
    before: Any = None
    for each in items:
        is_set = isinstance(before, str) and isinstance(each, str) and _FLAG.fullmatch(before)
        yield REDACTED if is_set else without_secrets(each, name)
        before = each


def _looks_secret(text: str) -> bool:
    if _VALUE.search(text):
        return True
    # Of a name more than a third stands in four or more small letters in a row; of a key, little.
    return any(3 * sum(map(len, _WORD.findall(run))) < len(run) for run in _LONG_RUN.findall(text))
