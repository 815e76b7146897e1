"""Runs a command beside a Fourcast server, and holds the server to exit 0 on SIGTERM.

    with_server.py BINARY CONFIG COMMAND [ARGUMENT...]

The server keeps its events on disk, in a directory that is removed. The command finds the server's URL in
$FOURCAST_URL. The exit code is the command's, or 1 when the server
did not start, ended early, or did not stop as it should.
"""

import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading

START_SECONDS = 20
STOP_SECONDS = 20
COMMAND_SECONDS = 900
ADDRESS = re.compile(r"127\.0\.0\.1:[1-9][0-9]*")


def main(binary, config, *command):
    with tempfile.TemporaryDirectory(prefix="fourcast-") as journal:
        return run_beside(Server(binary, config, journal), command)


def run_beside(server, command):
    try:
        url = "http://" + server.address()
        code = run(command, dict(os.environ, FOURCAST_URL=url))
    finally:
        stopped_well = server.stop()
    if code != 0 or not stopped_well:
        server.show_log()
    return code or (0 if stopped_well else 1)


def run(command, environment):
    try:
        return subprocess.run(command, env=environment, timeout=COMMAND_SECONDS).returncode
    except subprocess.TimeoutExpired:
        print(f"{command[0]}: not done after {COMMAND_SECONDS} s", file=sys.stderr)
        return 1


class Server:
    """A server process whose output is read all the time, so that its log cannot block it."""

    def __init__(self, binary, config, journal):
        self.process = subprocess.Popen(
            [binary, "serve", "--config", config],
            env=dict(os.environ, FOURCAST_JOURNAL__PATH=journal),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.log = []
        self.found = queue.Queue()
        threading.Thread(target=self.read_log, daemon=True).start()

    def read_log(self):
        for line in self.process.stdout:
            self.log.append(line)
            if address := ADDRESS.search(line):
                self.found.put(address.group())
        self.found.put(None)

    def address(self):
        try:
            address = self.found.get(timeout=START_SECONDS)
        except queue.Empty:
            address = None
        if address is None:
            raise SystemExit("the server named no address:\n" + "".join(self.log))
        return address

    def stop(self):
        """Whether it was still running, and exited 0 in time."""
        if self.process.poll() is not None:
            print(f"the server had ended already, with {self.process.returncode}", file=sys.stderr)
            return False
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            print(f"the server did not stop within {STOP_SECONDS} s of SIGTERM", file=sys.stderr)
            return False
        if code != 0:
            print(f"the server exited {code} on SIGTERM", file=sys.stderr)
        return code == 0

    def show_log(self):
        print("the end of the server's log:", *self.log[-60:], sep="\n", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
