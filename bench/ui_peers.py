"""Logs the run of bench/ui.py to TensorBoard's files and to trackio, with their own writers."""

import math
import sys

import trackio
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

log, steps, metrics = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def value(metric: int, step: int) -> float:
    """As in bench/ui.py."""
    noise = math.sin(step * 12.9898 + metric * 78.233) * 43758.5453
    wave = 0.2 * math.sin(metric + step / 900)
    return 3 * math.exp(-3 * step / steps) + wave + (noise % 1) / 10


writer = EventFileWriter(log)
trackio.init(project="bench", name="r1")
for at in range(steps):
    row = {f"train/metric_{m}": value(m, at) for m in range(metrics)}
    values = [Summary.Value(tag=name, simple_value=number) for name, number in row.items()]
    writer.add_event(Event(wall_time=1.7e9 + at / 4, step=at, summary=Summary(value=values)))
    trackio.log(row, step=at)
writer.close()
trackio.finish()
