"""Write the golden vectors, or check that the ones here are what today's code makes.

    python tests/vectors/generate.py --verify    compare, change nothing, exit 1 on any difference
    python tests/vectors/generate.py --write     add the vectors that are missing
    python tests/vectors/generate.py --write --replace NAME ...    also rewrite these

Vectors of a released version are never edited, only added: hence --replace names each one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cases import all_cases  # noqa: E402
from context_cases import context_cases  # noqa: E402
from synthetic_tables import context_arrays, lit_arrays, refined_arrays, synthetic_arrays  # noqa: E402

FOLDER = HERE / "v1"
MAX_SET_BYTES = 1 << 20


def rendered() -> dict[str, bytes]:
    """Return every file of the set: its path inside v1/ and its bytes."""
    files = {
        "tables.json": _json(_tables(synthetic_arrays())),
        "tables-refined.json": _json(_tables(refined_arrays())),
        "tables-lit.json": _json(_tables(lit_arrays())),
        "tables-context.json": _json(_tables(context_arrays())),
    }
    for case in [*all_cases(), *context_cases()]:
        files[f"{case.name}.bin"] = case.data
        files[f"{case.name}.json"] = _json(case.meaning)
    return files


def _tables(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the entropy arrays as JSON values."""
    return {
        name: {"dtype": str(array.dtype), "shape": list(array.shape), "data": array.ravel().tolist()}
        for name, array in arrays.items()
    }


def _json(value: dict[str, Any]) -> bytes:
    """Return JSON with one key a line and lists kept together."""
    lines = [f"  {json.dumps(key)}: {json.dumps(item, separators=(',', ':'))}" for key, item in value.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def differences(folder: Path = FOLDER) -> list[str]:
    """Return a line for each file of `folder` that is missing, different or not ours."""
    wanted = rendered()
    present = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    lines = [f"missing: {name}" for name in sorted(wanted.keys() - present.keys())]
    lines += [f"unexpected: {name}" for name in sorted(present.keys() - wanted.keys())]
    both = sorted(wanted.keys() & present.keys())
    return lines + [f"differs: {name}" for name in both if present[name].read_bytes() != wanted[name]]


def write(folder: Path, replace: set[str]) -> int:
    """Write the missing files and those whose stem is in `replace`; return how many."""
    files = rendered()
    size = sum(map(len, files.values()))
    if size > MAX_SET_BYTES:
        raise SystemExit(f"error: the set would take {size} bytes, limit {MAX_SET_BYTES}")
    written = 0
    for name, data in files.items():
        path = folder / name
        if path.exists() and name.rsplit(".", 1)[0] not in replace and "all" not in replace:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written += 1
    return written


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--verify", action="store_true", help="compare and report")
    mode.add_argument("--write", action="store_true", help="write missing vectors")
    parser.add_argument(
        "--replace", nargs="+", default=[], metavar="NAME", help="rewrite these ('all': every one)"
    )
    arguments = parser.parse_args(argv)
    if arguments.write:
        print(f"wrote {write(FOLDER, set(arguments.replace))} files to {FOLDER}")
    found = differences()
    for line in found:
        print(line)
    print(f"{len(found)} differences" if found else "vectors agree with the code")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
