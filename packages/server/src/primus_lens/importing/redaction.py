"""What of a run's config stays at home: what is called like a credential, or looks like one.

Whoever imports a run knows its file, but not who reads the fleet's pages. In doubt a text is
left out; numbers, true and false are not in doubt.
"""

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"
LONGEST_TEXT = 1_000  # characters of one value: enough for a path, too little for a document

_NAME = re.compile(
    r"pass(?:word|wd|phrase|code)|pwd|secret|token(?!i[sz])|(?:api|access|private|account|ssh)[_-]?key"
    r"|credential|auth|cookie|webhook|dsn|connection[_-]?string",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"-----BEGIN|://[^/\s?#]*@|hooks\.slack\.com|\b(?:bearer|basic)\s+\S{8,}"
    r"|(?:token|secret|signature|password|key|auth|pwd)=\S"
    r"|\b(?:sk-|hf_|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|AKIA|ASIA|AIza|eyJ|lens_)[\w.-]{10,}",
    re.IGNORECASE,
)
_LONG_RUN = re.compile(r"[A-Za-z0-9+=_]{32,}")
_WORD = re.compile(r"[a-z]{4,}")


def without_secrets(node: Any, name: str = "") -> Any:  # noqa: ANN401 - a JSON tree
    """The tree with texts that may be secrets replaced. name: that the node goes by."""
    if isinstance(node, Mapping):
        return {key: without_secrets(value, f"{name}.{key}") for key, value in node.items()}
    if isinstance(node, list):
        return [without_secrets(each, name) for each in node]
    if isinstance(node, str):
        text = node.replace("\0", "")[:LONGEST_TEXT].encode("utf-8", "replace").decode()
        return REDACTED if _NAME.search(name) or _looks_secret(text) else text
    return node


def _looks_secret(text: str) -> bool:
    if _VALUE.search(text):
        return True
    # Of a name more than a third stands in four or more small letters in a row; of a key, little.
    return any(3 * sum(map(len, _WORD.findall(run))) < len(run) for run in _LONG_RUN.findall(text))
