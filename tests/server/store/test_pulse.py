"""Laws of store/pulse: what a group of rows adds to a run's pulse."""

import asyncio
import json
import random
import struct

import chunk_reading as reading
import pytest

from primus_lens.model.points import Row, RunId
from primus_lens.store import pulse, statements


def row(step, metrics, at=None):
    """A row of one run."""
    return Row(RunId("r"), "wandb", step, float(step if at is None else at), metrics, {})


def pairs(ring):
    """What a ring holds."""
    return list(struct.iter_unpack("<dd", ring))


@pytest.mark.parametrize(
    "names, loss",
    [
        (["eval/loss", "train/loss"], "train/loss"),
        (["train/loss", "loss"], "loss"),
        (["loss_scale", "policy_loss"], "policy_loss"),
        (["val_loss", "reconstruction_loss"], "reconstruction_loss"),
        (["train/aux_loss", "train/LM Loss"], "train/LM Loss"),
        (["val_loss"], "val_loss"),
        (["lr", "accuracy"], None),
    ],
)
def test_surest_loss_is_chosen(names, loss):
    """The training loss is chosen whatever the order, an evaluation's only where it is alone."""
    assert pulse.loss_among(names)[1] == loss
    assert pulse.loss_among(names[::-1])[1] == loss


def test_newest_steps_and_losses_are_kept():
    """A ring holds the newest 32, oldest first; steps without a loss have none."""
    rows = [row(step, {"loss": step / 2} if step % 2 else {"lr": 1}) for step in range(100)]
    found = pulse.of_rows(rows[::-1], {"loss": 49.5, "lr": 1})
    assert pairs(found.recent_steps) == [(step, step) for step in range(68, 100)]
    assert pairs(found.recent_losses) == [(step, step / 2) for step in range(37, 100, 2)]


def test_what_is_no_number_is_no_loss():
    """Text under the loss's name is left out, NaN is not."""
    rows = [row(2, {"loss": "NaN"}), row(1, {"loss": "none"}), row(0, {"loss": 1})]
    [first, second] = pairs(pulse.of_rows(rows, {"loss": "NaN"}).recent_losses)
    assert first == (0, 1.0)
    assert second[0] == 2
    assert second[1] != second[1]


def test_touched_steps_are_told_as_ranges_by_metrics():
    """Steps of the same metrics stand together, those that follow one another as a range."""
    rows = [row(step, {"a": 1}) for step in (1, 2, 3, 7, 9, 10)] + [row(4, {"a": 1, "b": 1})]
    assert json.loads(pulse.touched(rows)) == [
        [[[1, 3], [7, 7], [9, 10]], ["a"]],
        [[[4, 4]], ["a", "b"]],
    ]


async def kept(database):
    """What run_last holds of the one run."""
    [found] = await database.fetch(
        "SELECT version, loss_metric, recent_steps, recent_losses FROM run_last"
    )
    return found


def stored(dsn, *groups):
    """What run_last holds after some groups of (step, at, metrics) were stored one by one."""

    async def scenario():
        async with reading.opened(dsn) as database:
            for group in groups:
                told = [(*each, {}) for each in group]
                await reading.store(database, reading.report("w", told))
            return await kept(database)

    return asyncio.run(scenario())


def test_rings_move_on_with_each_transaction(database_dsn):
    """Each transaction moves the version on and pushes the oldest out of the rings."""
    groups = [[(step, float(step), {"loss": step})] for step in range(40)]
    found = stored(database_dsn, *groups)
    assert (found["version"], found["loss_metric"]) == (40, "loss")
    assert pairs(found["recent_steps"]) == [(step, step) for step in range(8, 40)]
    assert pairs(found["recent_losses"]) == [(step, step) for step in range(8, 40)]


def test_late_and_repeated_steps_stay_out_of_the_rings(database_dsn):
    """A backlog that comes behind newer steps, and a step told again, leave the rings alone."""
    found = stored(
        database_dsn,
        [(5, 50.0, {"loss": 5})],
        [(4, 40.0, {"loss": 4})],
        [(5, 50.0, {"loss": 5})],
    )
    assert pairs(found["recent_steps"]) == [(5, 50)]
    assert pairs(found["recent_losses"]) == [(5, 5)]


def test_surer_loss_takes_the_place_of_another(database_dsn):
    """Once the training loss is seen the sparkline is its own, and stays so."""
    found = stored(
        database_dsn,
        [(1, 1.0, {"eval/loss": 9})],
        [(2, 2.0, {"loss": 2})],
        [(3, 3.0, {"eval/loss": 8})],
    )
    assert found["loss_metric"] == "loss"
    assert pairs(found["recent_losses"]) == [(2, 2)]
    assert pairs(found["recent_steps"]) == [(1, 1), (2, 2), (3, 3)]


def reported_in_turns():
    """Groups of a run whose rows carry now these metrics, now those; some come late."""
    chance = random.Random(8)
    names = ["loss", "Loss", "val/loss", "LM LOSS", "lr", "é", *pulse.DONE, pulse.TARGET]
    names += [f"train/metric_{n}" for n in range(20)]
    return [
        [(step, float(chance.randrange(100)), dict.fromkeys(chance.sample(names, 12), step))]
        for step in range(60)
    ]


def test_shown_values_are_those_of_all_metrics(database_dsn):
    """Whatever groups come, what is kept beside tells the same as the newest value of every metric.

    So it does after the migration that brought it, which fills it from what was stored before.
    """

    async def scenario():
        async with reading.opened(database_dsn) as database:
            for group in reported_in_turns():
                await reading.store(database, reading.report("w", [(*row, {}) for row in group]))
            both = "SELECT last_values, shown FROM run_last"
            kept_by_writers = await database.fetch(both)
            await database.fetch("ALTER TABLE run_last DROP COLUMN shown")
            migration = statements.SQL_FILES / "migrations" / "0010_shown_values.sql"
            async with database.connection() as connection:
                await connection.execute(migration.read_text())
            return kept_by_writers + await database.fetch(both)

    for found in asyncio.run(scenario()):
        every, shown = (json.loads(found[name]) for name in ("last_values", "shown"))
        first = pulse.first_shown(tuple(every))
        assert pulse.first_shown(tuple(shown)) == first
        told = [*first, "Loss", "LM LOSS", *pulse.DONE, pulse.TARGET]
        assert {name: shown[name] for name in told} == {name: every[name] for name in told}
