"""Two server processes on one PostgreSQL: each record is stored once, whoever gets it how often."""

import asyncio
import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from deliveries import PlainSender, faults

RECORDS = 300


@pytest.fixture
def replicas(make_server, database_dsn):
    """The addresses of two servers."""
    config = f"metrics: {{prometheus: {{enabled: false}}}}\ndatabase: {{dsn: '{database_dsn}'}}\n"
    return [make_server(config).start().url for _ in range(2)]


def test_alternating_replicas_keep_the_order(replicas, database_dsn, workload):
    """Each request goes to the other replica, some twice: history shows every record in order."""
    chance = random.Random(1)
    sent = 0
    with closing(PlainSender(replicas, workload)) as sender:
        while sent < RECORDS:
            first, sent = sent + 1, sent + chance.randint(1, 20)
            assert sender.deliver(first, sent) == sent
            for _ in range(chance.randint(0, 2)):  # replays of it and of what was long before
                again = chance.choice([first, chance.randint(1, first)])
                assert sender.deliver(again, sent) == sent
    assert asyncio.run(faults(database_dsn, replicas[0], workload, "plain", sent)) == []


def test_replicas_at_once_store_each_record_once(replicas, database_dsn, workload):
    """Ranges that overlap, repeat and come in any order, at both replicas at once: all is there."""
    chance = random.Random(2)
    cuts = [0, *sorted(chance.sample(range(1, RECORDS), 40)), RECORDS]
    ranges = [(a + 1, b) for a, b in itertools.pairwise(cuts)]
    spanning = [sorted(chance.choices(range(1, RECORDS + 1), k=2)) for _ in range(20)]
    deliveries = [each for each in ranges for _ in range(chance.randint(1, 3))] + spanning
    chance.shuffle(deliveries)

    def deliver(some):
        with closing(PlainSender(replicas, workload, turns=False)) as sender:
            for first, last in some:
                sender.deliver(first, last)

    with ThreadPoolExecutor(6) as executor:
        list(executor.map(deliver, [deliveries[n::6] for n in range(6)]))
    assert asyncio.run(faults(database_dsn, replicas[1], workload, "any order", RECORDS)) == []
