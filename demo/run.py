"""`make run`: the whole system on this machine, with a real training to look at.

Starts the server on its embedded PostgreSQL, trains, and keeps serving until Ctrl-C. PORT chooses
another port than 8080, DATA another place than the server's own for the data.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import train_twice

PORT = os.environ.get("PORT", "8080")
URL = f"http://127.0.0.1:{PORT}"
UP_WITHIN_S = 120


def started(log):
    """A server process."""
    command = [sys.executable, "-m", "primus_lens", "serve", "--port", PORT]
    if os.environ.get("DATA"):
        command += ["--data-dir", os.environ["DATA"]]
    return subprocess.Popen(command, stdout=log, stderr=log)


def wait_until_up(server, log):
    """Return when the server's database answers; exits in words when it does not come up."""
    began = time.monotonic()
    while not ready():
        if server.poll() is not None or time.monotonic() - began > UP_WITHIN_S:
            log.seek(0)
            sys.exit(f"the server did not come up:\n{log.read().decode()}")
        time.sleep(0.1)


def ready():
    """Whether the server's database answers."""
    with contextlib.suppress(OSError):  # refused, reset, or too busy to answer yet
        return urllib.request.urlopen(f"{URL}/readyz", timeout=5).status == 200  # noqa: S310 - ours
    return False


def main():
    """Serve, train, serve on."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop the server then, too
    if ready():
        sys.exit(f"something serves {URL} already: `make demo` trains against it, or set PORT")
    with tempfile.TemporaryFile() as log:
        print("starting Primus Lens on its embedded PostgreSQL ...", flush=True)
        server = started(log)
        try:
            wait_until_up(server, log)
            print(f"\n  {URL}\n", flush=True)
            workload = train_twice.train(f"{URL}/api/v1")
            print(f"\n  {URL}/workloads/{workload}\n\nserving until Ctrl-C", flush=True)
            server.wait()
        except KeyboardInterrupt:
            print("\nstopping ...", flush=True)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
