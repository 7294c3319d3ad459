"""docs/http-api.md is true: its commands, run one after another, give the answers shown there."""

import itertools
import re
import shlex
from pathlib import Path

import httpx
import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "http-api.md"
SHOWN_AT = "http://127.0.0.1:8080"
EXAMPLE = re.compile(r"```sh\n(curl .*?)\n```\n```json(?: status=(\d+))?\n(.*?)\n```", re.DOTALL)

# The server's own clock: the moment of the test, not of the document.
CLOCKS = {"first_seen", "last_seen", "created_at", "updated_at", "seen_at", "at"}


def performed(command, url):
    """The answer to a curl command, asked of the server at url."""
    program, *words = shlex.split(command)
    assert program == "curl"
    headers, body, method = {}, None, ""
    for option, word in itertools.pairwise([*words, ""]):
        if option == "-H":
            name, _, value = word.partition(": ")
            headers[name] = value
        elif option == "-d":
            body = word
        elif option == "-X":
            method = word
        elif option.startswith(SHOWN_AT):
            address = option.replace(SHOWN_AT, url)
    method = method or ("GET" if body is None else "POST")
    return httpx.request(method, address, headers=headers, content=body, timeout=30)


def without_clocks(node):
    """A JSON tree with the server's own times left out."""
    if isinstance(node, dict):
        return {k: "a time" if k in CLOCKS else without_clocks(v) for k, v in node.items()}
    return [without_clocks(each) for each in node] if isinstance(node, list) else node


def test_every_command_has_its_answer():
    """No command of the document stands without an answer this file compares."""
    text = DOCUMENT.read_text()
    assert len(EXAMPLE.findall(text)) == len(re.findall(r"^curl ", text, re.MULTILINE)) > 0


@pytest.mark.timeout(60)
def test_examples_answer_as_shown(make_server):
    """A fresh server answers each command with the status and the JSON shown."""
    server = make_server().start()
    for command, status, shown in EXAMPLE.findall(DOCUMENT.read_text()):
        answer = performed(command, server.url)
        assert answer.status_code == int(status or 200), command
        expected = httpx.Response(200, text=shown).json()
        assert without_clocks(answer.json()) == without_clocks(expected), command
