"""What `make bench` runs: one command with its sampling for every result."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]
MINUTES_ALLOWED = 60.0
JSON_PLACE, OUT_PLACE = "{json}", "{out}"


@dataclass(frozen=True)
class Part:
    """Describe one command of the whole.

    Attributes:
        name: of the result file.
        command: of `python -m benchmarks`.
        options: its arguments; `{json}`, `{out}` and `$VARIABLE/...` are filled in.
        minutes: what it takes on two cores, roughly: the progress bar's measure.
        result: where the command leaves its JSON, inside its `{out}`; empty where it takes `{json}`.
        pictures: files of `{out}` kept beside the result as NAME-FILE; never any that show data set pictures.
        restores: it decodes with lossy side views, so its result is one of the restorer too.
        alone: it times something, so nothing may run beside it.
    """

    name: str
    command: str
    options: tuple[str, ...]
    minutes: float
    result: str = ""
    pictures: tuple[str, ...] = ()
    restores: bool = False
    alone: bool = False

    @property
    def variables(self) -> list[str]:
        """Return the environment variables that must name a folder."""
        return sorted({word[1:].partition("/")[0] for word in self.options if word.startswith("$")})

    def arguments(self, json_path: Path, out: Path) -> list[str]:
        """Return the command's arguments with every place filled in."""
        words = [
            word.replace(JSON_PLACE, str(json_path)).replace(OUT_PLACE, str(out)) for word in self.options
        ]
        return [self.command, *(_expanded(word) for word in words)]


def _words(line: str) -> tuple[str, ...]:
    return tuple(line.split())


_TEST, _DRIVE = "$MDIC_DATA/test", "$MDIC_DATA/test/seq_drive0009"
_FILES = ("--json", JSON_PLACE, "--out", OUT_PLACE)
# Full-size pictures cost about 6 s each in LPIPS-VGG and DISTS on two cores, small ones 0.4 s: all pairs at 128x256,
# every ninth at full size (two of the stills' scenes and four of the drive), single qualities where a comparison needs
# no more.
PARTS = (
    Part(
        "rd-128x256",
        "rd",
        ("--data", _TEST, "--protocol", "128x256", "--codecs", "mdic,av1", *_FILES),
        9,
    ),
    Part("rd-128x256-all", "rd", ("--data", _TEST, "--protocol", "128x256", "--every", "9", *_FILES), 2),
    Part(
        "rd-128x256-jpeg50",
        "rd",
        (*_words(f"--data {_TEST} --protocol 128x256 --every 6 --side jpeg:50 --codecs mdic"), *_FILES),
        1.5,
        restores=True,
    ),
    Part(
        "rd-full",
        "rd",
        ("--data", _TEST, "--protocol", "full", "--every", "9", "--codecs", "mdic,av1", *_FILES),
        12,
    ),
    Part(
        "geometry",
        "geometry",
        ("--data", _TEST, "--every", "3", "--qualities", "0,1,2,3,4,5", "--ceilings", "--json", JSON_PLACE),
        1.5,
    ),
    Part(
        "geometry-jpeg50",
        "geometry",
        _words(f"--data {_TEST} --every 9 --side jpeg:50 --qualities 0,4,5 --ceilings --json {JSON_PLACE}"),
        0.7,
        restores=True,
    ),
    Part(
        "geometry-full",
        "geometry",
        _words(f"--data {_TEST} --protocol full --every 18 --qualities 0,3,5 --json {JSON_PLACE}"),
        2,
    ),
    Part("encode", "encode", ("--size", "375x1242", "--repeat", "40", "--json", JSON_PLACE), 0.2, alone=True),
    Part("demo", "demo", ("--out", OUT_PLACE), 2, result="demo.json", alone=True),
    Part(
        "sequence",
        "sequence",
        (
            *_words(
                f"--data {_DRIVE} --every 20 --metrics lpips_vgg,psnr --qualities 0,2"
                " --sides av1-half:70,av1-half:67,av1-half:64,70,66,62 --no-video --temporal --watch 21"
            ),
            *_FILES,
        ),
        8.2,
        pictures=("lpips_vgg.png", "over-time.png"),
        restores=True,
    ),
    Part(
        "temporal",
        "temporal",
        ("--data", _DRIVE, "--frames", "24", "--every", "3", "--qualities", "0,2,4,6", *_FILES),
        1.2,
        pictures=("curves.png",),
    ),
    Part(
        "robust",
        "robust",
        ("--data", _TEST, "--every", "6", *_FILES),
        10,
        pictures=("side.png", "stale.png", "wrong.png"),
        restores=True,
    ),
    Part(
        "grain",
        "grain",
        _words(f"--data {_TEST} --every 18 --qualities 0,5 --json {JSON_PLACE}"),
        1.5,
        restores=True,
    ),
    Part(
        "downstream",
        "downstream",
        ("--data", _TEST, "--every", "9", *_FILES),
        3.5,
        pictures=("downstream.png",),
    ),
    Part("telemetry", "telemetry", ("--data", _DRIVE, "--json", JSON_PLACE), 0.2, alone=True),
    Part("soak", "soak", ("--frames", "200000", "--json", JSON_PLACE), 0.8, alone=True),
    Part("gateway", "gateway", ("--vehicles", "200", "--json", JSON_PLACE), 0.5, alone=True),
    Part("gpu-decode-small", "gpu-decode", ("--small", "--json", JSON_PLACE), 0.2, alone=True),
)


def why_not(part: Part) -> str:
    """Return why a part cannot be run here, "" when it can."""
    from benchmarks.__main__ import COMMANDS, is_there

    if not is_there(COMMANDS[part.command][0]):
        return f"`python -m benchmarks {part.command}` is not in this checkout"
    for variable in part.variables:
        folder = os.environ.get(variable)
        if not folder:
            return f"{variable} is not set (README, 'Real data')"
    missing = [word for word in part.options if word.startswith("$") and not Path(_expanded(word)).exists()]
    return f"{missing[0]} is not there" if missing else ""


def pick(only: str | None) -> list[Part]:
    """Return the parts named, or all.

    Raises:
        UsageError: an unknown name.
    """
    if only is None:
        return list(PARTS)
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = sorted(set(names) - {part.name for part in PARTS})
    if unknown or not names:
        known = ", ".join(part.name for part in PARTS)
        raise UsageError(f"--only {only!r}: unknown {', '.join(unknown) or 'nothing'} (known: {known})")
    return [part for part in PARTS if part.name in names]


def _expanded(word: str) -> str:
    variable, slash, rest = word[1:].partition("/")
    if not word.startswith("$") or variable not in os.environ:
        return word
    return os.environ[variable].rstrip("/") + slash + rest


def at_root(path: Path) -> Path:
    """Return a path that is relative to the checkout."""
    return path if path.is_absolute() else ROOT / path
