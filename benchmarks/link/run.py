"""`python -m benchmarks link`: the stream between two network namespaces, over an emulated link."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.link import netem
from benchmarks.link.children import Child
from benchmarks.link.corpus import cached_corpus, load
from benchmarks.link.netns import CLOUD_ADDRESS, Namespaces, require_root
from benchmarks.link.outcome import Terms, outcome, series, table
from benchmarks.link.plots import plot
from benchmarks.link.policies import parse_policy
from benchmarks.link.profiles import PROFILES, Profile, profile
from benchmarks.report import command_line, describe_run
from common.errors import UsageError

PORT = 50551
LEAD_S = 6.0
START_S = 120.0
CACHE = Path("out/link")
POLICIES = ("auto", "fixed:0", "fixed:4", "fixed:7", "oracle")


@dataclass(frozen=True)
class Plan:
    """A run's settings, checked."""

    profile: str
    trace: Path | None
    seed: int
    side: str
    terms: Terms
    netem: bool


def main(argv: list[str] | None = None) -> int:
    """Run one profile under each policy; print a table, write JSON and a plot."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(words)
    plan = make_plan(options)
    policies = options.policy or list(POLICIES)
    for name in policies:
        parse_policy(name)
    require_root()
    link = profile(plan.profile, plan.seed, plan.trace)
    corpus = cached_corpus(CACHE, options.camera, plan.side, options.street, _say)
    with _signals_interrupt(), tempfile.TemporaryDirectory(prefix="mdic-link-") as folder:
        logs = run(plan, policies, corpus, Path(folder))
    capacity = link.up.capacity()
    results = {name: outcome(*log, capacity, plan.terms) for name, log in logs.items()}
    print(f"\n{link.name}: {link.text}\n\n{table(results)}\n", flush=True)
    facts = {
        **describe_run(command_line("benchmarks", ["link", *words]), plan.seed),
        "profile": {"name": link.name, "text": link.text, "queue_bytes": link.up.limit_bytes},
        "shaper": "netem" if plan.netem else "tun",
        "terms": asdict(plan.terms),
        "camera": options.camera,
        "side": plan.side,
        "frame_bytes": load(corpus).mean_bytes(),
        "results": results,
    }
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    picture = options.plot or (options.json.with_suffix(".png") if options.json else None)
    if picture is not None:
        runs = {name: series(*log, capacity, plan.terms) for name, log in logs.items()}
        plot(link.name, runs, plan.terms.deadline_ms, picture)
    return 0


def make_plan(options: argparse.Namespace) -> Plan:
    """Check the options.

    Raises:
        UsageError: one makes no sense.
    """
    for name, value, least, most in (
        ("--seconds", options.seconds, 1, 3600),
        ("--fps", options.fps, 0.1, 100),
        ("--deadline-ms", options.deadline_ms, 10, 60_000),
        ("--seed", options.seed, 0, 2**31),
        ("--street", options.street, 1, 1000),
    ):
        if not least <= value <= most:
            raise UsageError(f"{name} {value} is not {least} to {most}")
    name, trace = options.profile, options.trace
    if name.startswith("trace:"):
        name, trace = "trace", Path(name.partition(":")[2])
    if trace is not None and not trace.exists() and trace.parent == Path() and os.environ.get("MDIC_TRACES"):
        trace = Path(os.environ["MDIC_TRACES"]) / trace
    wanted = options.shaper
    if wanted == "netem" and name == "trace":
        raise UsageError("netem replays no traces: leave out --shaper")
    use_netem = name != "trace" and wanted != "tun" and netem.available()
    if wanted == "netem" and not use_netem:
        raise UsageError("this kernel has no netem: leave out --shaper")
    terms = Terms(options.seconds, options.fps, options.deadline_ms)
    return Plan(
        name, None if trace is None else trace.absolute(), options.seed, options.side, terms, use_netem
    )


def run(
    plan: Plan, policies: Sequence[str], corpus: Path, folder: Path
) -> dict[str, tuple[dict[str, Any], dict[str, Any] | None]]:
    """Return policy -> (sender's log, shaper's ledgers) of one run after another, each on the link from its beginning.

    Raises:
        MdicError: a process failed, or the machine does not let us.
    """
    logs: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {}
    link = profile(plan.profile, plan.seed, plan.trace)
    with Namespaces(tun=not plan.netem) as spaces:
        serve = ["cloud", "serve", "--engine", "null", "--listen", f"{CLOUD_ADDRESS}:{PORT}"]
        if plan.side == "none":
            serve += ["--side-wait-ms", "0"]  # no vehicle of ours will ever bring a side view
        inside = spaces.command(spaces.cloud)
        with Child("the cloud", serve, folder / "cloud.log", prefix=inside) as cloud:
            cloud.line("listening on", START_S)
            for policy in policies:
                _say(f"{link.name}, {policy}: {plan.terms.seconds:g} s ...")
                logs[policy] = _one(plan, link, policy, corpus, folder, spaces)
    return logs


def _one(
    plan: Plan, link: Profile, policy: str, corpus: Path, folder: Path, spaces: Namespaces
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    terms = plan.terms
    same = ["--profile", plan.profile, "--seed", str(plan.seed)]
    same += [] if plan.trace is None else ["--trace", str(plan.trace)]
    words = ["benchmarks.link.sender", *same, "--corpus", str(corpus.absolute()), "--policy", policy]
    words += ["--cloud", f"{CLOUD_ADDRESS}:{PORT}", "--side", plan.side, "--seconds", str(terms.seconds)]
    words += ["--fps", str(terms.fps), "--deadline-ms", str(terms.deadline_ms)]
    patience = LEAD_S + terms.seconds + 2 * terms.deadline_ms / 1000 + 60
    with Child("the sender", words, folder / "sender.log", prefix=spaces.command(spaces.edge)) as sender:
        sender.line("ready", START_S)
        if spaces.descriptors is None:
            shaper = netem.NetemShaper(link, spaces.edge, spaces.cloud)
            epoch = time.monotonic_ns() + round(LEAD_S * 1e9)
            shaper.start(epoch)
            try:
                sender.tell(str(epoch))
                return sender.report(patience), None
            finally:
                shaper.stop()
        edge, cloud = spaces.descriptors
        words = ["benchmarks.link.shaper", *same, "--edge", str(edge), "--cloud", str(cloud)]
        with Child("the shaper", words, folder / "shaper.log", descriptors=(edge, cloud)) as tun:
            tun.line("ready", START_S)
            epoch = time.monotonic_ns() + round(LEAD_S * 1e9)
            tun.tell(str(epoch))
            sender.tell(str(epoch))
            log = sender.report(patience)
            return log, tun.report(30)


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does: through every `finally`."""

    def handle(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    kept = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, kept)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks link",
        description="Stream between two network namespaces over an emulated link. Needs root on Linux.",
    )
    known = ", ".join(PROFILES)
    parser.add_argument("--profile", required=True, help=f"{known}, or trace:FILE (mahimahi)")
    parser.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="of profile trace; a bare name is looked up in $MDIC_TRACES",
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a run (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the profile (default: %(default)s)")
    parser.add_argument(
        "--policy",
        action="append",
        metavar="auto|fixed:Q|oracle",
        help=f"may be given more than once (default: {', '.join(POLICIES)})",
    )
    parser.add_argument(
        "--fps", type=float, default=10.0, help="captured frames a second (default: %(default)s)"
    )
    parser.add_argument(
        "--deadline-ms", type=int, default=1000, help="age at which a frame is late (%(default)s)"
    )
    parser.add_argument(
        "--camera", default="synthetic:3:256x832", help="what is coded (default: %(default)s)"
    )
    parser.add_argument("--side", default="jpeg:10", help="none, jpeg:Q or webp (default: %(default)s)")
    parser.add_argument(
        "--street", type=int, default=20, help="different frames, repeated (default: %(default)s)"
    )
    parser.add_argument("--shaper", choices=("auto", "tun", "netem"), default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers; a plot goes beside it")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the plot here")
    return parser
