r"""Which names a Grafana client means by a text: metrics of a workload, or workloads. Pure.

Clients fill variables into a text before they send it: a single choice as it is or escaped for a
regular expression (`train\/loss`), several as `(a|b)` with each escaped, or as `{a,b}` with none
escaped. Names may hold any of these characters themselves, so a text is never merely split: what
it means is decided by the names there are. Comes before query/panels.
"""

import re
from collections.abc import Collection, Iterator

EVERY = frozenset({"*", "all"})
_ESCAPED = re.compile(r"\\([\\^$*+?.()|\[\]{}/])")  # what Grafana's escapeRegex escapes
_ALTERNATIVE = re.compile(r"(?:[^\\|]|\\.)+", re.DOTALL)
_STARS = re.compile(r"\*|(?:\\.|[^*])+", re.DOTALL)
_MOST_PARTS = 10_000  # of one text; more than anybody chooses from a list


def resolved(text: str, known: Collection[str]) -> list[str]:
    """The known names that a text means, in the text's order; none when it means nothing.

    In this order: the name itself; unescaped; each of `(a|b)` unescaped; each of `{a,b}`, where a
    known name that holds commas goes before its parts; every known name for `*` or `all`; with a
    star within, the names that fit it. known: a set, or anything quick to ask.
    """
    if text in known:
        return [text]
    plain = unescaped(text)
    if plain in known:
        return [plain]
    if text in EVERY:
        return sorted(known)
    if text.startswith("(") and text.endswith(")"):
        return _each(alternatives(text), known)
    if text.startswith("{") and text.endswith("}"):
        return _listed(text[1:-1].split(","), known)
    return _fitting(text, known)


def unescaped(text: str) -> str:
    """A text without the backslashes that Grafana's regular expression format adds."""
    return _ESCAPED.sub(r"\1", text)


def alternatives(text: str) -> list[str]:
    """The names within `(a|b)`, unescaped."""
    return [unescaped(each) for each in _ALTERNATIVE.findall(text[1:-1])]


def candidates(text: str) -> set[str]:
    """Every name that `resolved` could find in a text without a star, for asking which are known.

    Names that hold commas are not found in a list; workload uids hold none.
    """
    found = {text, unescaped(text)}
    if text.startswith("(") and text.endswith(")"):
        found.update(alternatives(text)[:_MOST_PARTS])
    if text.startswith("{") and text.endswith("}"):
        found.update(text[1:-1].split(",")[:_MOST_PARTS])
    return found


def splits(text: str, mark: str) -> Iterator[tuple[str, str]]:
    """A text before and after each place where a mark stands."""
    place = text.find(mark)
    while place >= 0:
        yield text[:place], text[place + len(mark) :]
        place = text.find(mark, place + 1)


def _each(names: Collection[str], known: Collection[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name in known]


def _listed(parts: list[str], known: Collection[str]) -> list[str]:
    """Known names joined by commas; one that holds commas itself is taken whole."""
    del parts[_MOST_PARTS:]
    longest = 1 + max((name.count(",") for name in known), default=0)
    names: list[str] = []
    at = 0
    while at < len(parts):
        # A list has two names at least: with one, Grafana sends it without braces.
        most = min(longest, len(parts) - at - (at == 0 and len(parts) > 1))
        for width in range(most, 0, -1):
            joined = ",".join(parts[at : at + width])
            name = joined if joined in known else joined.strip()  # people write `a, b`
            if name in known:
                names.append(name)
                at += width
                break
        else:
            at += 1  # a metric that is no more
    whole = ",".join(parts)
    return list(dict.fromkeys(names)) or [whole] * (whole in known)


def _fitting(text: str, known: Collection[str]) -> list[str]:
    """The names that fit a text with stars, each standing for anything; an escaped one is none."""
    parts = [""]
    for piece in _STARS.findall(text):
        if piece == "*":
            parts.append("")
        else:
            parts[-1] = unescaped(piece)
    if len(parts) == 1:
        return []
    return [name for name in sorted(known) if _fits(name, parts)]


def _fits(name: str, parts: list[str]) -> bool:
    """Whether a name is the parts with anything between them; no pattern makes it slow."""
    first, *middle, last = parts
    if not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        place = name.find(part, at, end)
        if place < 0:
            return False
        at = place + len(part)
    return at <= end
