"""Servers that a run starts: where they listen, what they cost, and their end."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 15
SAMPLE_EVERY_S = 1.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class StartError(Exception):
    """A server that did not come up, with what it said."""


class Measured:
    """A process whose costs are sampled."""

    def __init__(self, name, process=None):
        self.name = name
        self.process = process
        self.samples = []

    def sample(self, at_s):
        """Remembers processor time, resident memory, open files and sockets, while the process lives."""
        pid = self.process.pid
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                memory = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
            files, sockets = open_files(pid)
            self.samples.append(
                {"at_s": at_s, "cpu_s": process_cpu_s(pid), "memory_kib": memory, "files": files, "sockets": sockets}
            )
        except (OSError, StopIteration):
            pass

    def cores(self):
        """How many cores it kept busy. A process that was started again counts from zero."""
        pairs = list(zip(self.samples, self.samples[1:]))
        spent = sum(max(0, after["cpu_s"] - before["cpu_s"]) for before, after in pairs)
        return spent / (self.samples[-1]["at_s"] - self.samples[0]["at_s"]) if pairs else 0


class Server(Measured):
    """A process whose log tells the addresses that it got, for it is free to choose its ports."""

    def __init__(self, name, command, log_path, environment=None):
        super().__init__(name)
        self.command = command
        self.log_path = log_path
        self.environment = {**os.environ, **(environment or {})}
        self.addresses = {}

    def start(self):
        begins = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=self.environment
            )
        self.addresses = self._wait_for("its addresses", lambda: self._listening(begins))
        return self

    def wait_until_healthy(self, path):
        self._wait_for(path, lambda: get(self.url() + path) == 200)

    def url(self):
        return f"http://{self.addresses['public']}"

    def _listening(self, begins):
        with open(self.log_path, "rb") as log:
            log.seek(begins)
            for line in log:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if event.get("message") == "listening":
                    return {"public": event.get("public") or event.get("address"), "admin": event.get("admin")}
        return None

    def _wait_for(self, what, condition):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            if self.process.poll() is not None:
                raise StartError(f"{self.name} ended with {self.process.returncode}:\n{tail(self.log_path)}")
            time.sleep(0.05)
        raise StartError(f"{self.name}: {what} did not come within {START_TIMEOUT_S} s:\n{tail(self.log_path)}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()


class Sampler:
    """Samples processes once a second, on a thread of its own, and what all others on the machine take."""

    def __init__(self, measured):
        self.measured = list(measured)
        self.began = time.monotonic()
        self.busy_s = machine_busy_s()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def add(self, measured):
        self.measured.append(measured)

    def _run(self):
        while not self.ended.wait(SAMPLE_EVERY_S):
            for one in list(self.measured):
                one.sample(time.monotonic() - self.began)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.busy_cores = (machine_busy_s() - self.busy_s) / (time.monotonic() - self.began)


def machine_busy_s():
    """What all cores worked so far: everything in the first line of /proc/stat but idle and waiting for disks."""
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(field) for field in stat.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS_PER_S


def open_files(pid):
    """How many files a process has open, and how many sockets."""
    folder = f"/proc/{pid}/fd"
    files = sockets = 0
    for name in os.listdir(folder):
        try:
            is_socket = os.readlink(os.path.join(folder, name)).startswith("socket:")
        except FileNotFoundError:
            continue
        files, sockets = files + (not is_socket), sockets + is_socket
    return files, sockets


def process_cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def get(url, timeout_s=2):
    """The status of an answer, or None where there is none."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def tail(path, lines=15):
    with open(path, encoding="utf-8", errors="replace") as file:
        return "".join(file.readlines()[-lines:])
