"""What is lost, doubled or reordered when the server and its PostgreSQL are killed under load.

Twenty sender processes report all the while, most of them over plain HTTP, some through the
exporter's own spool; at the end a checker process compares every point. Each kill comes up to a
second after the last one was overcome. The last line must say that nothing is wrong.

    python bench/killed.py [--server 20] [--postgres 10] [--stopped 3] [--senders 20]
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from deliveries import Senders, checked
from serving import NO_SELF_METRICS, Server

LINE = "{:<20} {:>6} {:>16} {:>12}"


def overcome(server: Server, end: str) -> float:
    """End a process and start it again. Returns the seconds until reports are taken again."""
    begin = time.perf_counter()
    if end == "PostgreSQL killed":
        server.kill_postgres()
    else:
        status = server.stop(signal.SIGTERM if end == "server stopped" else signal.SIGKILL)
        if end == "server stopped" and status != 0:
            raise SystemExit(f"told to stop, the server ended with {status}")
        server.start()
    return time.perf_counter() - begin


def main() -> int:
    """Kill and check; status 1 when a point is not as it was sent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", type=int, default=20, help="SIGKILLs of the server")
    parser.add_argument("--postgres", type=int, default=10, help="SIGKILLs of the postmaster")
    parser.add_argument("--stopped", type=int, default=3, help="SIGTERMs of the server")
    parser.add_argument("--senders", type=int, default=20, help="of which a fifth has a spool")
    given = parser.parse_args()
    counts = {
        "server killed": given.server,
        "PostgreSQL killed": given.postgres,
        "server stopped": given.stopped,
    }
    chance = random.Random(1)
    ends = [end for end, count in counts.items() for _ in range(count)]
    chance.shuffle(ends)
    with tempfile.TemporaryDirectory(prefix="bench-killed-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs under an account of its own
        config = folder / "server.yaml"
        config.write_text(NO_SELF_METRICS)
        server = Server(folder / "server", "--config", str(config)).start()
        spooled = given.senders // 5
        senders = Senders(
            [server.url], folder / "senders", plain=given.senders - spooled, spooled=spooled
        )
        taken: dict[str, list[float]] = {end: [] for end in counts}
        try:
            for end in ends:
                time.sleep(chance.uniform(0.1, 1))
                taken[end].append(overcome(server, end))
            sent = senders.finish()
            faults = checked(server.own_dsn(), server.url, sent)
        finally:
            senders.kill()
            server.stop()
    print(LINE.format("", "times", "back within, s", "median, s"))
    for end, each in taken.items():
        if each:
            middle = sorted(each)[len(each) // 2]
            print(LINE.format(end, len(each), f"{max(each):.1f}", f"{middle:.1f}"))
    plain = sum(n for workload, n in sent.items() if workload.startswith("plain"))
    records = sum(sent.values())
    print(f"{len(sent)} senders, {records} records, {2 * records + plain} points acknowledged")
    print(faults or "every point is stored once, in order, as it was sent")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
