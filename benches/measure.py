"""Whole processes by the clock, their memory, and what the machine itself can do. Standard library only."""

import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def note(text):
    print(text, file=sys.stderr, flush=True)


def find(variable, name):
    """A command: from the environment, else from PATH, else None."""
    if os.environ.get(variable):
        return shlex.split(os.environ[variable])
    path = shutil.which(name) if name else None
    if path is None and name:
        note(f"SKIPPED: neither ${variable} nor {name} on PATH")
    return [path] if path else None


class Peak(threading.Thread):
    """The highest anonymous memory of a process, looked at 20 times a second: mapped files are the kernel's to drop."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.status, self.mib, self.ended = Path(f"/proc/{pid}/status"), None, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.05):
            try:
                lines = self.status.read_text().splitlines()
            except OSError:
                return
            now = [int(line.split()[1]) // 1024 for line in lines if line.startswith("RssAnon")]
            self.mib = max([self.mib or 0, *now])

    def stop(self):
        self.ended.set()
        self.join()


def timed(command, fine=(0,), **more):
    """Runs a command; wall, user and system seconds, peak resident and anonymous MiB, and what it printed.

    `None` where its exit status is not among `fine`."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.monotonic()
        child = subprocess.Popen([str(c) for c in command], stdout=out, stderr=err, **more)
        peak = Peak(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        peak.stop()
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        printed = out.read()
        if child.returncode not in fine:
            note(f"FAILED ({child.returncode}): {' '.join(map(str, command))}\n{err.read()[-2000:]}")
            return None
    seconds = {"wall_s": wall, "user_s": usage.ru_utime, "system_s": usage.ru_stime}
    return {k: round(v, 3) for k, v in seconds.items()} | {"peak_mib": usage.ru_maxrss // 1024, "anonymous_mib": peak.mib, "printed": printed}


def summary(values):
    """Median and spread of some measurements."""
    values = [v for v in values if v is not None]
    if not values:
        return None
    return {"median": round(statistics.median(values), 3), "low": round(min(values), 3), "high": round(max(values), 3), "n": len(values)}


def median(of):
    return of["median"] if of else None


def ratio(ours, theirs):
    """How many times more, of two summaries."""
    return round(median(ours) / median(theirs), 3) if ours and theirs and median(theirs) else None


def machine(threads):
    """The processor by its own words, and its measured limits."""
    info = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        info.setdefault(key.strip(), value.strip())
    wanted = ("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "sha_ni", "asimd", "asimddp", "i8mm", "sve")
    flags = (info.get("flags") or info.get("Features") or "").split()
    bench = subprocess.run(
        ["cargo", "bench", "-q", "-p", "lfmq-kernels", "--bench", "machine", "--", str(threads)],
        cwd=ROOT, capture_output=True, text=True,
    )
    lines = [line for line in bench.stdout.splitlines() if line.startswith("{")]
    limits = json.loads(lines[-1]) if lines else {"stream_read_gb_s": None, "int8_peak_gop_s": None, "int8_tile_peak_gop_s": None}
    named = {"architecture": platform.machine(), "model": info.get("model name") or info.get("CPU part"),
             "family": info.get("cpu family"), "model_number": info.get("model"), "cores": os.cpu_count(),
             "flags": [f for f in wanted if f in flags]}
    return named | limits
