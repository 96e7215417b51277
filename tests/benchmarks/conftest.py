"""`make bench` on a few parts whose commands are fake, as real processes."""

import json
import sys
import textwrap

import pytest

from benchmarks import bench, ledger, parts
from benchmarks.parts import Part

# Stands in for `python -m benchmarks`: counts its runs beside its JSON, and ends as its first option says.
FAKE = textwrap.dedent(
    """
    import json, os, pathlib, sys, time
    command, code, path, *rest = sys.argv[1:]
    began = time.time()
    count = pathlib.Path(path + ".runs")
    count.write_text(str(int(count.read_text()) + 1 if count.exists() else 1))
    print("working on", path, file=sys.stderr)
    if code in ("0", "3"):
        time.sleep(0.5)
        facts = {"threads": os.environ.get("OMP_NUM_THREADS"), "time": [began, time.time()]}
        facts |= {"complete": True, "command": f"python -m benchmarks {command}"}
        pathlib.Path(path).write_text(json.dumps(facts))
        if rest:
            (pathlib.Path(rest[0]) / "curve.png").write_bytes(b"png")
        print("| a table |")
    sys.exit(int(code))
    """
)


class FakeBench:
    """Run `python -m benchmarks all` on a list of parts, in a folder of its own."""

    def __init__(self, folder, monkeypatch):
        self.folder, self._patch = folder, monkeypatch

    def __call__(self, some, *argv):
        for module in (parts, ledger, bench):
            self._patch.setattr(module, "PARTS", tuple(some))
        places = ["--results", str(self.folder / "results"), "--out", str(self.folder / "out")]
        return bench.main([*places, "--no-tables", *argv])

    @staticmethod
    def part(name, code="0", *more, **fields):
        return Part(name, "encode", (code, "{json}", *more), 1.0, **fields)

    def runs(self, name):
        return int((self.folder / "out" / f"{name}.json.runs").read_text())

    def result(self, name):
        return json.loads((self.folder / "results" / f"{name}.json").read_text())

    def ledger(self):
        return self.result("bench")


@pytest.fixture
def make_bench(tmp_path, monkeypatch):
    """Two cores, a bundle b1, and fake commands."""
    (tmp_path / "fake.py").write_text(FAKE)
    real = bench.subprocess.run

    def run(words, **options):
        assert words[:3] == [sys.executable, "-m", "benchmarks"]
        return real([sys.executable, str(tmp_path / "fake.py"), *words[3:]], **options)

    monkeypatch.setattr(bench.subprocess, "run", run)
    monkeypatch.setattr(bench, "cores_here", lambda: 2)
    monkeypatch.setattr(bench, "bundle_id", lambda: "b1")
    monkeypatch.setattr(ledger.report, "describe_run", lambda *_: {
        "commit": {"hash": "abc", "dirty": False}, "machine": {"cores": 2}, "date": "2026-01-01"})  # fmt: skip
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return FakeBench(tmp_path, monkeypatch)
