"""One tool beside Primus Lens, on the same data: python FILE TOOL STEPS FOLDER; JSON on stdout.

Runs in an environment of its own (`make bench-peers`), each tool by its own storage, without a
server or a browser: what is compared is writing, keeping and reading.
"""
# ruff: noqa: PLC0415 - each tool is imported where it alone is measured

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

METRICS = 10
GROUP = 100  # steps a transaction, where the tool has such a thing
MOST = 1_000  # points of a chart
SPIKES = 40
HEIGHT = 1e3


def columns(steps):
    """The data: METRICS noisy columns; in the first one SPIKES steps stand out."""
    random = np.random.default_rng(7)
    made = random.normal(size=(METRICS, steps)).astype(np.float32).astype(np.float64)
    made[0, spikes(steps)] = HEIGHT + np.arange(SPIKES)
    return made


def spikes(steps):
    """The steps that stand out."""
    return np.sort(np.random.default_rng(8).choice(steps, SPIKES, replace=False))


def bytes_of(folder):
    """What a folder takes."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def timed(work):
    """What some work returns, and its seconds."""
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


def surviving(values):
    """How many spikes are among the values of a chart."""
    return len({value for value in values if value >= HEIGHT})


def in_duckdb(data, folder):
    """A table with a column a metric; a chart is min, max, first and last of each bucket."""
    import duckdb

    connection = duckdb.connect(f"{folder}/lens.duckdb")
    names = [f"m{n}" for n in range(METRICS)]
    connection.execute(f"CREATE TABLE log (step BIGINT, {', '.join(f'{n} DOUBLE' for n in names)})")

    def write():
        for first in range(0, data.shape[1], GROUP):
            last = min(first + GROUP, data.shape[1])
            rows = {"step": np.arange(first, last)}
            rows |= {name: data[i, first:last] for i, name in enumerate(names)}
            connection.execute("INSERT INTO log SELECT * FROM rows")

    def read():
        width = max(1, data.shape[1] * 4 // MOST)
        found = connection.execute(
            "SELECT min(m0), max(m0), arg_min(m0, step), arg_max(m0, step) FROM log "
            "GROUP BY step // ? ORDER BY min(step)",
            [width],
        ).fetchall()
        return [value for row in found for value in row]

    _, writing = timed(write)
    connection.execute("CHECKPOINT")
    return writing, read


def in_tensorboard(data, folder):
    """An event file; a chart is TensorBoard's own sample of MOST points."""
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def write():
        writer = EventFileWriter(folder)
        for step in range(data.shape[1]):
            values = [
                Summary.Value(tag=f"m{n}", simple_value=data[n, step]) for n in range(METRICS)
            ]
            writer.add_event(Event(wall_time=1.7e9, step=step, summary=Summary(value=values)))
        writer.close()

    def read():
        guidance = {event_accumulator.SCALARS: MOST}
        found = event_accumulator.EventAccumulator(folder, size_guidance=guidance).Reload()
        return [event.value for event in found.Scalars("m0")]

    return timed(write)[1], read


def in_mlflow(data, folder):
    """A SQLite tracking store; a chart is MLflow's own choice of MOST steps."""
    import mlflow
    from mlflow.entities import Metric

    store = mlflow.tracking._tracking_service.utils._get_store(f"sqlite:///{folder}/mlflow.db")
    experiment = store.create_experiment("bench")
    run = store.create_run(experiment, "lens", 0, [], "run").info.run_id

    def write():
        for first in range(0, data.shape[1], GROUP):
            last = min(first + GROUP, data.shape[1])
            batch = [
                Metric(f"m{n}", float(data[n, step]), 1_700_000_000_000, step)
                for step in range(first, last)
                for n in range(METRICS)
            ]
            store.log_batch(run, batch, [], [])

    def read():
        steps = list(range(0, data.shape[1], max(1, data.shape[1] // MOST)))
        found = store.get_metric_history_bulk_interval_from_steps(run, "m0", steps, MOST)
        return [metric.value for metric in found]

    return timed(write)[1], read


def in_trackio(data, folder):
    """Its SQLite storage; a chart is its own choice of MOST points."""
    os.environ["TRACKIO_DIR"] = folder
    from trackio.sqlite_storage import SQLiteStorage

    def write():
        for first in range(0, data.shape[1], GROUP):
            last = min(first + GROUP, data.shape[1])
            rows = [
                {f"m{n}": float(data[n, step]) for n in range(METRICS)}
                for step in range(first, last)
            ]
            SQLiteStorage.bulk_log("bench", "run", rows, steps=list(range(first, last)))

    def read():
        return [row["m0"] for row in SQLiteStorage.get_logs("bench", "run", max_points=MOST)]

    return timed(write)[1], read


TOOLS = {
    "duckdb": in_duckdb,
    "tensorboard": in_tensorboard,
    "mlflow": in_mlflow,
    "trackio": in_trackio,
}


def main(tool, steps, folder):
    """Measure one tool."""
    data = columns(int(steps))
    writing, read = TOOLS[tool](data, folder)
    read()
    values, reading = timed(read)
    print(
        json.dumps(
            {
                "points_s": data.size / writing,
                "bytes_a_point": bytes_of(folder) / data.size,
                "read_ms": reading * 1e3,
                "shown": len(values),
                "spikes": surviving(values),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
