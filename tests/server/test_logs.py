"""What the server says on stderr."""

import io
import logging

import pytest

from primus_lens import logs


@pytest.fixture
def said(request):
    """A logger of the service's format, and what it said."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.FieldFormatter())
    logger = logging.getLogger(request.node.name)
    logger.addHandler(handler)
    return logger, stream


@pytest.mark.parametrize("end", ["\n", "\r", "\x1b[2K", "\x85", "\u2028"], ids=ascii)
def test_name_chosen_by_a_sender_begins_no_line(said, end):
    """Whatever stands in a phrase or a field, a record is one line of plain text."""
    logger, stream = said
    name = f"run{end}2026-01-01T00:00:00Z ERROR forged"
    logger.warning("stored %s", name, extra={"workload": name})
    [line] = stream.getvalue().splitlines()
    assert end not in line
    assert line.count("forged") == 2


def test_traceback_keeps_its_lines(said):
    """What a person has to read stays readable."""
    logger, stream = said
    try:
        int("odd")
    except ValueError:
        logger.exception("failed")
    assert stream.getvalue().splitlines()[-1] == (
        "ValueError: invalid literal for int() with base 10: 'odd'"
    )
