"""The macros that Grafana's PostgreSQL data source replaces before it sends a query.

By its macros.go: arguments reach up to the first closing bracket, so none may hold one.
"""

import re

MACRO = re.compile(r"\$__(\w+)\(([^)]*)\)")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def expanded(query, *, start, end, interval="60s", values=None):
    """The query as the database gets it. start, end: RFC 3339. values: of dashboard variables.

    A list is written as Grafana does without a format of its own: each in quotes, with commas.
    """
    query = query.replace("$__interval", interval)
    for name, value in (values or {}).items():
        for form, shown in (
            (f"${{{name}:sqlstring}}", ",".join(map(quoted, listed(value)))),
            (f"${{{name}}}", plain(value)),
            (f"${name}", plain(value)),
        ):
            query = query.replace(form, shown)
    query = MACRO.sub(lambda found: _macro(found[1], found[2], start, end), query)
    assert "$" not in query, query
    return query


def listed(value):
    """The choices of a variable."""
    return value if isinstance(value, list) else [value]


def quoted(value):
    """A text in quotes."""
    return "'" + value.replace("'", "''") + "'"


def plain(value):
    """One choice as it is with its quotes doubled, several in quotes with commas."""
    if isinstance(value, list):
        return ",".join(map(quoted, value))
    return value.replace("'", "''")


def _macro(name, arguments, start, end):
    column, *more = (each.strip() for each in arguments.split(","))
    if name == "timeFilter":
        return f"{column} BETWEEN '{start}' AND '{end}'"
    if name == "timeFrom":
        return f"'{start}'"
    if name == "timeTo":
        return f"'{end}'"
    if name in {"timeGroup", "timeGroupAlias"}:
        amount, unit = re.fullmatch(r"'?(\d+)(\w)'?", more[0]).groups()
        width = int(amount) * SECONDS[unit]
        grouped = f"floor(extract(epoch from {column})/{width})*{width}"
        return grouped + (' AS "time"' if name.endswith("Alias") else "")
    raise AssertionError(f"no macro {name} is known")
