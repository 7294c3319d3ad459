"""A scene of the test's own."""

import functools

import pytest
import scene as scenes


@pytest.fixture
def scene(database_dsn):
    """Runs a scenario, a coroutine function of a Scene."""
    return functools.partial(scenes.play, database_dsn)
