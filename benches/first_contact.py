#!/usr/bin/env python3
"""The first file by magic-wormhole, with its own servers, from one network namespace to another, on two real terminals.

    benches/first_contact.py setup WORK      installs it into WORK, from PyPI
    benches/first_contact.py run WORK [N]    measures it N times; as root, for the namespaces

The same by colis, counted in the same way, is a test: cargo test --test claims -- first_contact --nocapture
"""

import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time

SIZE = 3 << 20
MAILBOX, TRANSIT = 4000, 4001
PATIENCE = 60


class Typist:
    """A shell on a terminal, and what was typed into it."""

    def __init__(self, side, work, folder):
        self.shown, self.keys, self.commands = "", 0, 0
        folder.mkdir(parents=True, exist_ok=True)
        env = {
            "HOME": str(folder),
            "PATH": f"{work / 'venv/bin'}:{os.environ['PATH']}",
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
            "PS1": "ready> ",
            "WORMHOLE_RELAY_URL": f"ws://10.78.0.1:{MAILBOX}/v1",
            "WORMHOLE_TRANSIT_HELPER": f"tcp:10.78.0.1:{TRANSIT}",
        }
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            shell = ["bash", "--norc", "--noprofile"]
            os.execvpe("nsenter", ["nsenter", "-n", "-t", str(side), *shell], env)
        self.sees(r"ready> ")

    def types(self, text):
        self.keys += len(text) + 1
        os.write(self.terminal, f"{text}\r".encode())

    def command(self, line):
        self.commands += 1
        self.types(line)

    def sees(self, pattern):
        """Waits until something like `pattern` is shown; gives the match."""
        until = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.shown)):
            ready, _, _ = select.select([self.terminal], [], [], until - time.monotonic())
            if not ready:
                sys.exit(f"{pattern!r} is not shown:\n{self.shown}")
            self.shown += os.read(self.terminal, 65536).decode(errors="replace")
        self.shown = self.shown[found.end() :]
        return found

    def leaves(self):
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def namespace():
    holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo there; exec sleep infinity"], stdout=subprocess.PIPE)
    holder.stdout.readline()
    return holder


def cable(left, right):
    def ip(side, *args):
        subprocess.run(["nsenter", "-n", "-t", str(side.pid), "ip", *args], check=True)

    ip(left, *f"link add v type veth peer name v netns {right.pid}".split())
    for side, address in (left, "10.78.0.1/24"), (right, "10.78.0.2/24"):
        ip(side, "addr", "add", address, "dev", "v")
        ip(side, "link", "set", "v", "up")
        ip(side, "link", "set", "lo", "up")


def servers(side, work):
    twist = [str(work / "venv/bin/twist")]
    folder = work / "servers"
    folder.mkdir(exist_ok=True)
    enter = ["nsenter", "-n", "-t", str(side.pid), *twist]
    mailbox = ["wormhole-mailbox", f"--port=tcp:{MAILBOX}", f"--channel-db={folder / 'mailbox.sqlite'}"]
    transit = ["transitrelay", f"--port=tcp:{TRANSIT}"]
    started = [
        subprocess.Popen([*enter, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for words in (mailbox, transit)
    ]
    for port in MAILBOX, TRANSIT:
        reach = f"until nsenter -n -t {side.pid} bash -c 'echo >/dev/tcp/10.78.0.1/{port}' 2>/dev/null; do sleep 0.1; done"
        subprocess.run(["timeout", str(PATIENCE), "bash", "-c", reach], check=True)
    return started


def once(sides, work, number):
    a, b = (work / f"user-{number}-{name}" for name in "ab")
    anna, ben = Typist(sides[0].pid, work, a), Typist(sides[1].pid, work, b)
    (a / "first.bin").write_bytes(os.urandom(SIZE))
    began = time.monotonic()
    anna.command("wormhole send first.bin")
    code = anna.sees(r"Wormhole code is: (\S+)").group(1)
    ben.command("wormhole receive")
    ben.sees(r"Enter receive wormhole code: ")
    ben.types(code)
    ben.sees(r"ok\? \(Y/n\):")
    ben.types("y")
    ben.sees(r"Received file written to first\.bin|Received file written to: ")
    took = time.monotonic() - began
    assert (a / "first.bin").read_bytes() == (b / "first.bin").read_bytes()
    print(f"magic-wormhole: {anna.commands} + {ben.commands} commands, {anna.keys} + {ben.keys} keys, {took:.2f} s")
    anna.leaves()
    ben.leaves()


def run(work, rounds):
    sides, started = [namespace(), namespace()], []
    try:
        cable(*sides)
        started = servers(sides[0], work)
        for number in range(rounds):
            once(sides, work, f"{os.getpid()}-{number}")
    finally:
        for process in started + sides:
            process.kill()
            process.wait()


def main():
    match sys.argv[1:]:
        case ["setup", work]:
            venv = pathlib.Path(work).resolve() / "venv"
            subprocess.run(["python3", "-m", "venv", venv], check=True)
            packages = ["magic-wormhole==0.24.0", "magic-wormhole-mailbox-server==0.8.0", "magic-wormhole-transit-relay==0.5.0"]
            subprocess.run([venv / "bin/pip", "install", "--quiet", *packages], check=True)
        case ["run", work, *rounds]:
            run(pathlib.Path(work).resolve(), int(rounds[0]) if rounds else 3)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
