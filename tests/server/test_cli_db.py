"""`primus-lens db`: checks, packs, tells sizes, writes everything to a file and reads it back."""

import asyncio
import json
import threading

import asyncpg
import chunk_reading as reading
import pytest
from click.testing import CliRunner
from serving import run

from primus_lens import assembly
from primus_lens.cli import main
from primus_lens.settings import DatabaseSettings
from primus_lens.store import backup, retention
from primus_lens.store.compaction import Compaction


@pytest.fixture
def lens(tmp_path, database_dsn):
    """What a command says to some words: (status, text); on the test's database or another."""

    def say(*words, dsn=database_dsn):
        path = tmp_path / "config.yaml"
        path.write_text(f"database: {{dsn: '{dsn}'}}\n")
        done = CliRunner().invoke(main, ["db", *words, "--config", str(path)])
        return done.exit_code, done.output

    return say


@pytest.fixture
def filled(database_dsn):
    """A function that stores a run and packs it, and the DSN."""
    at(database_dsn, _fill)
    return database_dsn


async def _fill(database):
    rows = [(step, 1000.0 + step, {"a": step / 3, "b": "NaN"}, {}) for step in range(60)]
    await reading.store(database, reading.report("w", rows))
    await Compaction(database, reading.TINY).sweep(now=reading.LATER)


def at(dsn, work):
    """What some work on a database returns."""

    async def scenario():
        async with reading.opened(dsn) as database:
            return await work(database)

    return run(scenario())


def sql(dsn, statement):
    """Run a statement."""
    return at(dsn, lambda database: database.fetch(statement))


def test_database_that_is_well_is_said_to_be(lens, filled):
    """Whether with rows or without, what is packed agrees; nothing is left to migrate."""
    assert lens("check") == (0, "5 ranges: all is well.\n")
    at(filled, lambda database: retention.drop_rows(database, before=reading.LATER + 1))
    assert lens("check", "--workload", "w") == (0, "5 ranges: all is well.\n")
    assert lens("migrate") == (0, "Nothing to do.\n")


DAMAGES = {
    "a value": (
        """UPDATE training_performance SET performance = performance || '{"a": 7}'
           WHERE iteration = 3""",
        "w: wandb, run 1, steps 0 to 11: a has other points",
    ),
    "a row": ("DELETE FROM training_performance WHERE iteration = 3", "11 rows, but 12 steps"),
    "a chunk": (
        "DELETE FROM metrics_storage WHERE axis_id = (SELECT min(axis_id) FROM chunk_axis)",
        "has no chunk",
    ),
    "bytes": ("UPDATE metrics_storage SET numbers = '\\x0011'", "cannot be unpacked"),
    "a count": ("UPDATE metrics_storage SET n = n + 1", "counts 13 points and holds 12"),
    "a range": (
        "DELETE FROM chunk_axis WHERE first_step = 12",
        "a range begins at step 24, not at 12",
    ),
    "a name": ("DELETE FROM series WHERE key = 'a'", "a has no chunk"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_mended(lens, filled, damage):
    """Whatever differs is named, the status says so, and compact makes it anew from the rows."""
    statement, words = DAMAGES[damage]
    sql(filled, statement)
    status, text = lens("check")
    assert status == 1
    assert words in text
    assert json.loads(lens("check", "--json")[1])["problems"]
    assert lens("compact")[0] == 0
    assert lens("check")[0] == 0


def test_damage_without_rows_is_named(lens, filled):
    """Where only chunks are left, what cannot be read is said; nothing can mend it."""
    at(filled, lambda database: retention.drop_rows(database, before=reading.LATER + 1))
    sql(filled, "UPDATE metrics_storage SET numbers = '\\x0011' WHERE axis_id = 1")
    assert "cannot be unpacked" in lens("check")[1]
    sql(filled, "UPDATE chunk_axis SET steps_stored = 5 WHERE axis_id = 1")
    assert "but 5 are counted" in lens("check")[1]
    assert lens("compact")[0] == 1


def test_compact_packs_what_has_settled(lens, database_dsn):
    """Steps that nobody packed yet are packed; --rebuild makes all anew."""
    rows = [(step, 1000.0 + step, {"a": step}, {}) for step in range(300)]
    at(database_dsn, lambda database: reading.store(database, reading.report("w", rows)))
    assert lens("compact") == (0, "1 ranges built.\n1 ranges: all is well.\n")
    assert lens("compact") == (0, "0 ranges built.\n1 ranges: all is well.\n")
    assert lens("compact", "--rebuild") == (0, "1 ranges built.\n1 ranges: all is well.\n")


def test_range_that_waits_is_no_damage(lens, filled):
    """What is about to be built again is counted."""
    late = reading.report("w", [(3, 1.0, {"a": 1}, {})])
    at(filled, lambda database: reading.store(database, late))
    assert lens("check") == (0, "5 ranges, 1 of them wait to be built: all is well.\n")


def test_run_that_is_not_there_is_named(lens, filled):
    """Newest values without their run are found."""
    sql(filled, "DELETE FROM training_run")
    assert "the run is not there" in lens("check")[1]


@pytest.mark.usefixtures("filled")
def test_stats_tell_sizes_and_amounts(lens):
    """Points are counted exactly, in JSON and for people."""
    told = json.loads(lens("stats", "--json")[1])
    assert told["points_packed"] == told["points_packed_with_rows"] == 116
    assert told["bytes_a_point_chunks"] > 0
    assert "points packed" in lens("stats")[1]
    assert "training_performance" in lens("stats")[1]


async def everything(database):
    """All tables' contents, and the answers of all readers."""
    tables = await database.fetch(
        "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind = 'r' AND nspname = 'public' ORDER BY 1"
    )
    contents = {}
    for (name,) in tables:
        question = f"SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM {name} AS t"  # noqa: S608 - a table
        contents[name] = (await database.fetch(question))[0][0]
    return contents, await reading.both_ways(database, reading.Span("w"))


def emptied(dsn, name):
    """An empty database beside another."""

    async def make():
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    run(make())
    head, _, tail = dsn.rpartition("/lens_")
    return f"{head}/{name}?{tail.partition('?')[2]}"


@pytest.mark.timeout(60)
def test_backup_beside_ingest_is_of_one_moment(lens, filled, tmp_path):
    """A backup taken while reports are stored restores to a state every reader agrees about."""
    done = threading.Event()

    async def ingest(database):
        step = 60
        while not done.is_set():
            rows = [(s, 1000.0 + s, {"a": s / 3}, {}) for s in range(step, step + 6)]
            await reading.store(database, reading.report("w", rows))
            await Compaction(database, reading.TINY).sweep(now=reading.LATER)
            step += 6

    writing = threading.Thread(target=lambda: at(filled, ingest))
    writing.start()
    file = tmp_path / "lens.dump"
    status, text = lens("backup", str(file))
    done.set()
    writing.join()
    assert status == 0, text
    assert text.endswith("read back.\n")
    assert file.stat().st_mode & 0o777 == 0o600
    elsewhere = emptied(filled, "lens_restored")
    status, text = lens("restore", str(file), dsn=elsewhere)
    assert (status, text.endswith("all is well.\n")) == (0, True), text
    at(elsewhere, lambda database: reading.assert_agree(database, "w"))


def test_restored_is_what_was_backed_up(lens, filled, tmp_path):
    """Every table and every answer is the same elsewhere, and the server goes on there."""
    at(filled, lambda database: retention.drop_rows(database, before=reading.LATER + 1))
    file = tmp_path / "lens.dump"
    assert lens("backup", str(file))[0] == 0
    elsewhere = emptied(filled, "lens_elsewhere")
    assert lens("restore", str(file), dsn=elsewhere)[0] == 0
    assert at(elsewhere, everything)[0] == at(filled, everything)[0]
    more = reading.report("w", [(3, 9.0, {"a": 9}, {}), (99, 1.0, {"a": 9}, {})])
    for dsn in (filled, elsewhere):
        at(dsn, lambda database: reading.store(database, more))
    assert at(elsewhere, everything)[1][0] == at(filled, everything)[1][0]


def test_what_cannot_be_backed_up_or_restored_is_said(lens, filled, tmp_path):
    """A file that is there, one that is not, one that is none, and a database that is not empty."""
    file = tmp_path / "lens.dump"
    file.write_text("no backup")
    assert "is there already" in lens("backup", str(file))[1]
    assert "holds tables already" in lens("restore", str(file))[1]
    elsewhere = emptied(filled, "lens_refused")
    assert "pg_restore ended with status" in lens("restore", str(file), dsn=elsewhere)[1]
    assert "there is no file" in lens("restore", str(tmp_path / "none"), dsn=elsewhere)[1]
    assert "No such file" in lens("backup", str(tmp_path / "none" / "x"))[1]


def test_password_does_not_stand_in_the_process_list():
    """A DSN is given to PostgreSQL's programs without its password."""
    plain, password = backup._without_password("postgresql://lens:s%40cret@db:5432/x?a=b")
    assert (plain, password) == ("postgresql://lens@db:5432/x?a=b", "s@cret")


def test_embedded_database_is_backed_up_without_a_server(open_directory, tmp_path):
    """A data directory that nobody serves is started for the moment, and restored into another."""
    one, other = open_directory / "backed-up", open_directory / "restored"
    file = tmp_path / "lens.dump"

    async def fill():
        settings = DatabaseSettings(data_directory=str(one))
        async with assembly.database_for_command(settings) as database:
            await _fill(database)

    asyncio.run(fill())
    for words in (("backup", str(file), one), ("restore", str(file), other), ("check", other)):
        *command, place = words
        done = CliRunner().invoke(main, ["db", *command, "--data-dir", str(place)])
        assert done.exit_code == 0, done.output
    assert "5 ranges: all is well." in done.output
