"""Compare this service with what people would otherwise run: `python -m benchmarks [--quick]`.

Every scenario runs all who are compared one after the other, warm, in turns,
against the same fake provider and the same PostgreSQL. See README.md.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import candidates, postgres, processes
from benchmarks.candidates import Candidate, Metered, Unavailable

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Load:
    """What the load generator does, to each one in turn."""

    model: str
    tokens: int
    streams: int
    ramp: float = 0
    scattered: bool = False
    each: int = 1
    deadline: float = 60
    history_turns: int = 0


@dataclass
class Run:
    """What one run of one of them gave."""

    report: dict[str, Any]
    cpu: float
    database_cpu: float
    memory_before: int = 0
    memory_open: int = 0
    threads: int = 0
    connections: int = 0

    @property
    def per_token(self) -> float:
        return self.cpu * 1e6 / max(self.report["tokens"], 1)

    @property
    def per_token_with_database(self) -> float:
        return (self.cpu + self.database_cpu) * 1e6 / max(self.report["tokens"], 1)

    @property
    def per_request(self) -> float:
        return self.cpu * 1e3 / max(self.report["complete"], 1)

    @property
    def per_request_with_database(self) -> float:
        return (self.cpu + self.database_cpu) * 1e3 / max(self.report["complete"], 1)


Row = tuple[str, Callable[[Run], float | None]]


@dataclass(frozen=True)
class Scenario:
    title: str
    load: Load
    rows: list[Row]
    rounds: int = 1
    names: tuple[str, ...] = ("ours", "express", "tutorial", "nginx", "direct")
    # Who is so far from the others that one round tells it.
    once: tuple[str, ...] = ("tutorial",)
    # Less of the same, for those who would take minutes.
    lighter: dict[str, Load] = field(default_factory=dict)


def at(name: str, index: int) -> Callable[[Run], float | None]:
    return lambda run: run.report[name][index]


def per_stream(run: Run, streams: int) -> float | None:
    """Return the KiB that each of the open streams takes; None where not all of them were open."""
    if run.report["wrong"]:
        return None
    return (run.memory_open - run.memory_before) / streams


CPU: list[Row] = [
    ("µs CPU per token", lambda run: run.per_token),
    ("… and the database's", lambda run: run.per_token_with_database),
]
LATENCY: list[Row] = [
    ("added latency p50, ms", at("latency", 0)),
    ("added latency p99, ms", at("latency", 1)),
]
FIRST: list[Row] = [
    ("first token p50, ms", at("first_token", 0)),
    ("first token p99, ms", at("first_token", 1)),
]
MANY: list[Row] = [
    ("threads", lambda run: run.threads),
    ("database connections", lambda run: run.connections),
]


def scenarios(quick: bool) -> dict[str, Scenario]:
    everybody = ("ours", "express", "tutorial", "nginx", "direct")
    servers = ("ours", "express", "tutorial")
    memory = 100 if quick else 500
    fifty = 200 if quick else 500
    answers = 1 if quick else 3
    crowd, crowd_slow = (200, 300) if quick else (1000, 2000)
    ramp, ramp_slow = crowd / 100, crowd_slow / 100
    spoken = 60 if quick else 200
    slow = 12 if quick else 40
    return {
        "memory": Scenario(
            f"Memory: {memory} open streams at 2 tokens/s",
            Load("bench-2tps-24tok", 24, memory, ramp=memory / 100, deadline=45),
            [("KiB per open stream", lambda run: per_stream(run, memory)), *MANY],
            names=("ours", "express") if quick else servers,
        ),
        "fifty": Scenario(
            f"50 streams at 50 tokens/s, {fifty} tokens each",
            Load(f"bench-50tps-{fifty}tok", fifty, 50, ramp=1, deadline=60),
            [*CPU, *LATENCY, *FIRST],
            # These differ from one moment to the next, and the aims are close to each other.
            rounds=3 if quick else 5,
            names=everybody,
        ),
        "scattered": Scenario(
            f"The same, opened at uneven moments: {fifty} tokens each",
            Load(f"bench-50tps-{fifty}tok", fifty, 50, ramp=1, scattered=True, deadline=60),
            [*CPU, *LATENCY, *FIRST],
            rounds=1 if quick else 3,
            names=("ours", "express", "nginx", "direct"),
        ),
        "flat1000": Scenario(
            "Flat out, 1,000-token answers, 20 at a time",
            Load("bench-max-1000tok", 1000, 20, each=5 * answers, deadline=90),
            CPU,
            rounds=1 if quick else 2,
            names=("ours", "express", "nginx") if quick else everybody[:4],
            lighter={"tutorial": Load("bench-max-1000tok", 1000, 20, each=2, deadline=90)},
        ),
        "flat4000": Scenario(
            "Flat out, 4,000-token answers, 20 at a time",
            Load("bench-max-4000tok", 4000, 20, each=3 * answers, deadline=90),
            CPU,
            rounds=1 if quick else 2,
            names=("ours", "express", "nginx"),
        ),
        "short": Scenario(
            "5-token answers with a 40-message history, 10 at a time",
            Load("bench-max-5tok", 5, 10, each=10 if quick else 30, deadline=90, history_turns=20),
            [
                ("ms CPU per request", lambda run: run.per_request),
                ("… and the database's", lambda run: run.per_request_with_database),
                ("request p50, ms", at("duration", 0)),
                ("request p99, ms", at("duration", 1)),
            ],
            rounds=1 if quick else 2,
            names=("ours", "express") if quick else servers,
            lighter={"tutorial": Load("bench-max-5tok", 5, 10, each=5, deadline=90, history_turns=20)},
        ),
        "crowd": Scenario(
            f"{crowd:,} streams at 20 tokens/s, {spoken} tokens each, opened at 100/s",
            Load(f"bench-20tps-{spoken}tok", spoken, crowd, ramp=ramp, deadline=75),
            [*CPU, *FIRST, *MANY, ("load generator's CPU, s", lambda run: run.report["load_cpu"])],
            names=("ours", "express") if quick else servers,
        ),
        "slow-crowd": Scenario(
            f"{crowd_slow:,} streams at 2 tokens/s, {slow} tokens each, opened at 100/s",
            Load(f"bench-2tps-{slow}tok", slow, crowd_slow, ramp=ramp_slow, deadline=90),
            [*CPU, *FIRST, *MANY],
            names=("ours", "express"),
        ),
    }


class Bench:
    """The servers of one benchmark, each started when it is first needed."""

    def __init__(self, folder: Path, database: postgres.Postgres, provider_port: int) -> None:
        self._folder = folder
        self._database = database
        self._provider_port = provider_port
        self._candidates: dict[str, Candidate | None] = {}
        self.notes: list[str] = []

    def get(self, kind: type[Candidate]) -> Candidate | None:
        """Return one of them, running; None where it cannot take part, which is noted once."""
        if kind.name not in self._candidates:
            try:
                self._candidates[kind.name] = kind(self._folder, self._database, self._provider_port)
            except Unavailable as exc:
                self._candidates[kind.name] = None
                self.notes.append(f"{kind.name} is left out: {exc}")
                print(self.notes[-1], flush=True)
        candidate = self._candidates[kind.name]
        if candidate is not None:
            candidate.start()
            candidate.sign_in()
        return candidate

    def stop(self) -> None:
        for candidate in self._candidates.values():
            if candidate is not None:
                candidate.stop()

    def run(self, candidate: Candidate, load: Load) -> Run:
        """Warm the server up with the same kind of work, then measure it."""
        sessions: list[str] = []
        if load.history_turns:
            sessions = candidate.sessions(load.streams, load.model, load.history_turns)
        else:
            warm = Load("bench-50tps-25tok", 25, 20, ramp=0.2, each=2, deadline=20)
            if "max" in load.model:
                warm = Load(load.model, load.tokens, 10, each=2, deadline=20)
            self._load(candidate, warm, [])
        cpu, database_cpu = candidate.cpu_seconds(), self._database.cpu_seconds()
        before = candidate.memory() if candidate.pids else 0
        run = self._load(candidate, load, sessions)
        run.cpu = candidate.cpu_seconds() - cpu
        run.database_cpu = self._database.cpu_seconds() - database_cpu if candidate.relays else 0
        run.memory_before = before
        return run

    def _load(self, candidate: Candidate, load: Load, sessions: list[str]) -> Run:
        plan = {
            "port": candidate.port,
            "path": candidate.path,
            "requests": [
                candidate.request(load.model, number, sessions[number] if sessions else None)
                for number in range(load.streams if sessions else min(load.streams, candidates.USERS))
            ],
            "streams": load.streams,
            "ramp": load.ramp,
            "scattered": load.scattered,
            "each": load.each,
            "tokens": load.tokens,
            "deadline": load.deadline,
        }
        process = processes.start(
            [sys.executable, "-m", "benchmarks.load"],
            processes.OTHER_CORES,
            cwd=HERE.parent,
            log=sys.stderr.fileno(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        run = Run({}, 0, 0)
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(candidate, run, ended))
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(plan).encode())
            process.stdin.close()
            if candidate.pids:
                watcher.start()
            for line in process.stdout:
                if line == b"open\n":
                    run.memory_open = candidate.memory() if candidate.pids else 0
                else:
                    run.report = json.loads(line)
        finally:
            ended.set()
            if watcher.ident is not None:
                watcher.join()
            processes.end(process)
        if not run.report:
            raise SystemExit("the load generator failed")
        return run

    def _watch(self, candidate: Candidate, run: Run, ended: threading.Event) -> None:
        while not ended.wait(1):
            with contextlib.suppress(Exception):
                run.threads = max(run.threads, candidate.threads())
                if candidate.relays:
                    run.connections = max(run.connections, self._database.connections(candidate.database))


def perform(bench: Bench, scenario: Scenario) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {}
    for number in range(scenario.rounds):
        kinds = [kind for kind in candidates.KINDS if kind.name in scenario.names]
        # The next round begins with another one, so that nobody always runs on a machine just woken.
        for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:
            if number and kind.name in scenario.once:
                continue
            candidate = bench.get(kind)
            if candidate is None:
                continue
            try:
                run = bench.run(candidate, scenario.lighter.get(kind.name, scenario.load))
            except Unavailable as exc:
                print(f"  {kind.name}: {exc}", flush=True)
                candidate.stop()
                continue
            runs.setdefault(kind.name, []).append(run)
            if run.report["wrong"]:
                # What it still does for streams that are gone must not weigh on the next run.
                candidate.stop()
    return {kind.name: runs[kind.name] for kind in candidates.KINDS if kind.name in runs}


def middle(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def table(scenario: Scenario, runs: dict[str, list[Run]]) -> tuple[list[str], dict[str, Any]]:
    """Return the scenario's table in Markdown, and its figures."""
    names = list(runs)
    figures: dict[str, Any] = {}
    lines = [f"### {scenario.title}", "", "| | " + " | ".join(names) + " | ours : express |"]
    lines.append("|---" * (len(names) + 2) + "|")
    exact = {
        name: [sum(r.report["complete"] for r in got), sum(r.report["wanted"] for r in got)]
        for name, got in runs.items()
    }
    figures["complete and exact"] = exact
    lines.append(
        "| complete and exact | " + " | ".join(f"{a:,} of {b:,}" for a, b in exact.values()) + " | |"
    )
    for label, value in scenario.rows:
        by_name = {
            name: middle([value(run) if _applies(name, label) else None for run in got])
            for name, got in runs.items()
        }
        figures[label] = by_name
        mine, theirs = by_name.get("ours"), by_name.get("express")
        ratio = f"{mine / theirs:.2f}" if mine is not None and theirs else ""
        lines.append(f"| {label} | " + " | ".join(shown(by_name[name]) for name in names) + f" | {ratio} |")
    reasons = {name: merged([run.report["wrong"] for run in got]) for name, got in runs.items()}
    for name, wrong in reasons.items():
        if wrong:
            lines.append(f"\n{name}: " + ", ".join(f"{count} × {why}" for why, count in wrong.items()))
    figures["not complete"] = {name: wrong for name, wrong in reasons.items() if wrong}
    return lines, figures


def _applies(name: str, label: str) -> bool:
    if name == "direct":
        return "latency" in label or "first token" in label
    return name != "nginx" or "database" not in label


def merged(counts: list[dict[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for count in counts:
        for name, number in count.items():
            sums[name] = sums.get(name, 0) + number
    return sums


def shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def keeping(bench: Bench, quick: bool) -> tuple[list[str], dict[str, Any]]:
    """Return which share of the server's CPU goes into losing nothing."""
    scenario = scenarios(quick)["fifty"]
    candidate = bench.get(Metered)
    assert isinstance(candidate, Metered)
    before = candidate.keeping_seconds()
    run = bench.run(candidate, scenario.load)
    kept = candidate.keeping_seconds() - before
    candidate.stop()
    share = kept / max(run.cpu, 1e-9)
    lines = [
        "### Keeping: checkpoints, heartbeats, leases",
        "",
        f"{share:.1%} of the server's CPU while {scenario.title.lower()} were answered "
        f"({kept * 1e3:.0f} ms of {run.cpu * 1e3:.0f} ms, warm-up's keeping included).",
    ]
    return lines, {"share": share, "complete and exact": [run.report["complete"], run.report["wanted"]]}


@contextlib.contextmanager
def environment() -> Iterator[Bench]:
    """Start what all share, and end everything that was started."""
    folder = Path(tempfile.mkdtemp(prefix="chat-bench-"))
    folder.chmod(0o711)  # PostgreSQL, as somebody else, has to get through
    provider = processes.start(
        [sys.executable, "-m", "benchmarks.provider"],
        processes.OTHER_CORES,
        cwd=HERE.parent,
        log=sys.stderr.fileno(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert provider.stdout is not None
        port = int(provider.stdout.readline())
        with postgres.running(folder / "postgres") as database:
            bench = Bench(folder, database, port)
            try:
                yield bench
            finally:
                bench.stop()
    finally:
        processes.end(provider)
        shutil.rmtree(folder, ignore_errors=True)


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return f"{model}, {cores} cores; Python {platform.python_version()}; load before the start {load:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="the whole in about four minutes, with less of everything"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="SCENARIO", help=", ".join([*scenarios(False), "keeping"])
    )
    parser.add_argument(
        "--without", nargs="+", metavar="NAME", default=[], help="leave out tutorial, express, ..."
    )
    options = parser.parse_args()
    if not Path("/proc/self/stat").exists():
        raise SystemExit("CPU and memory are read from /proc: this needs Linux.")
    candidates.KINDS[:] = [kind for kind in candidates.KINDS if kind.name not in options.without]
    chosen = options.only or [*scenarios(options.quick), "keeping"]
    # So that what was started is ended then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    began = time.monotonic()
    lines, results = [machine()], {}
    print(lines[0] + "\n", flush=True)
    with environment() as bench:
        for name in chosen:
            if name == "keeping":
                part, figures = keeping(bench, options.quick)
            else:
                scenario = scenarios(options.quick)[name]
                part, figures = table(scenario, perform(bench, scenario))
            results[name] = figures
            lines += ["", *part]
            print("\n".join(part) + "\n", flush=True)
        lines += ["", *bench.notes]
    print(f"{time.monotonic() - began:.0f} s in all.")
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / "latest.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "latest.json").write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
