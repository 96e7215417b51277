"""fault_rig: reading what a process writes must not disturb it."""

import sys

from fault_rig import Process


def test_reading_loses_no_line(monkeypatch):
    script = "import os\nfor i in range(4000): os.write(1, b'%06d\\n' % i)"
    process = Process(["unused"])
    monkeypatch.setattr("subprocess.Popen", _popen_of([sys.executable, "-c", script]))
    process.start()
    while process.running:
        process.output()
    assert process.output().split() == [f"{i:06d}" for i in range(4000)]


def _popen_of(command):
    import subprocess

    real = subprocess.Popen
    return lambda _, **options: real(command, **options)
