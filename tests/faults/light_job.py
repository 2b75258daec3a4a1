"""A job that needs no torch: it counts steps, and everything it does can be checked afterwards.

Run as `python -I -S light_job.py DIRECTORY ATTEMPT`. Every step is a line of `ledger.jsonl`; every second one leaves a
checkpoint with a digest; the result depends on every step. It stops, saves, resumes and dies like a training.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import signal
import sys
import threading
import time

STEPS = 6
STEP_SECONDS = 0.03
EXIT_LOST = 75
EXIT_MACHINE = 71
directory, attempt = (sys.argv[1], int(sys.argv[2])) if __name__ == "__main__" else ("", 0)


def path(name):
    return os.path.join(directory, name)


def append(name, entry):
    # One write: lines of two processes do not mix.
    with open(path(name), "a") as file:
        file.write(json.dumps(entry) + "\n")


def write(name, text):
    beside = path(f".{name}.{os.getpid()}")
    try:
        with open(beside, "w") as file:
            file.write(text)
            file.flush()
        os.replace(beside, path(name))
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def next_value(value, step):
    return hashlib.sha256(f"{value}{step}".encode()).hexdigest()


def sealed(step, value):
    return json.dumps({"step": step, "value": value, "seal": next_value(value, "seal")})


def last_checkpoint():
    for step in range(STEPS, 0, -1):
        with contextlib.suppress(OSError, ValueError, KeyError):
            with open(path(f"checkpoint-{step}.json")) as file:
                found = json.load(file)
            if found["seal"] == next_value(found["value"], "seal"):
                return found["step"], found["value"]
    return 0, ""


class Lease:
    until = 0.0


def end_if_over():
    code = EXIT_LOST
    try:
        with open(path(f"lease-{attempt}")) as file:
            Lease.until = float(file.read())
    except (FileNotFoundError, ValueError):
        Lease.until = 0.0
    except OSError:
        code = EXIT_MACHINE
    left = Lease.until - time.monotonic()
    if left <= 0:
        os._exit(code)
    return left


def die_without_lease():
    while True:
        time.sleep(min(end_if_over(), 0.05))


def main():
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: stop.set())
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    end_if_over()
    threading.Thread(target=die_without_lease, daemon=True).start()
    lock = open(path("one-at-a-time"), "w")  # noqa: SIM115 - held to the end
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        append("ledger.jsonl", {"twice": True, "attempt": attempt})
        return 1
    step, value = last_checkpoint()
    print(f"attempt {attempt} goes on after step {step}", flush=True)
    append(f"reports-{attempt}.jsonl", {"step": step, "time": time.time(), "phase": "loading"})
    while step < STEPS:
        time.sleep(STEP_SECONDS)
        step += 1
        value = next_value(value, step)
        append("ledger.jsonl", {"step": step, "attempt": attempt, "at": time.monotonic()})
        report = {"step": step, "time": time.time(), "phase": "training", "total_steps": STEPS}
        append(f"reports-{attempt}.jsonl", {**report, "values": {"loss": 1 / step}})
        if step % 2 == 0 or stop.is_set():
            full = os.path.exists(path("disk-is-full")) and step >= 4
            write(f"checkpoint-{step}.json", sealed(step, value)[: 20 if full else None])
            if full:
                failure = {"code": "disk_full", "message": "The disk is full.", "remedy": "Make room."}
                write("failure.json", json.dumps(failure))
                return 1
        if stop.is_set():
            write("stopped", "")
            return 0
    write("result.json", json.dumps({"value": value, "seconds": 0.2}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError:
        # Its folder cannot be read or written: neither is this.
        os._exit(EXIT_MACHINE)
