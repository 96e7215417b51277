"""`python -m benchmarks bars`: the project's targets, each with what was measured, from the results alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.ledger import LEDGER
from benchmarks.parts import MINUTES_ALLOWED, PARTS
from benchmarks.rd.checks import ENTROPY_OVERHEAD_ALLOWED, HEADER_BYTES_ALLOWED
from benchmarks.rd.metrics import METRICS
from benchmarks.rd.results import OURS, write_json
from benchmarks.shelf import Document, Shelf

RESULTS = Path(__file__).resolve().parent / "results"
PASS, FAIL, OPEN = "pass", "fail", "open"
LOWEST_BPP, HIGHEST_BPP = 0.003, 0.15


@dataclass(frozen=True)
class Bar:
    """Hold one target and what became of it.

    Attributes:
        area: what it is about.
        target: what is wanted.
        measured: what was found, or what is missing.
        status: `pass`, `fail`, or `open` where nothing was measured.
    """

    area: str
    target: str
    measured: str
    status: str


def main(argv: list[str]) -> int:
    """Print every target; with --strict the exit code is 1 unless all are passed."""
    options = _parser().parse_args(argv)
    found = list(bars(Shelf(options.results)))
    document = {"schema": 1, "bars": [asdict(bar) for bar in found], **tally(found)}
    if options.json is not None:
        write_json(options.json, document)
        print(f"wrote {options.json}", file=sys.stderr)
    print(table(document))
    return 1 if options.strict and any(bar.status != PASS for bar in found) else 0


def bars(shelf: Shelf) -> Iterator[Bar]:
    """Yield every target in a fixed order, whether measured or not."""
    small, full = shelf.get("rd-128x256.json"), shelf.get("rd-full.json")
    yield from _small(small)
    yield from _full(full)
    yield from _monotone(small, "128x256")
    yield from _monotone(full, "full size")
    yield from _range(small)
    yield from _entropy(small)
    yield from _sequence(shelf.get("sequence.json"))
    yield from _lossy_side(small, shelf.get("rd-128x256-jpeg50.json"))
    yield from _stated("robustness", shelf.get("robust.json"), "a wrong side view is never more than 10 % worse in "
                       "LPIPS-VGG than none; one stale by 2 frames still beats none")  # fmt: skip
    yield from _ablation(shelf.get("ablation-method.json"))
    yield _speed(shelf.get("gpu-decode.json"))
    yield _budget(shelf.get(LEDGER))


# --- rate and quality ---------------------------------------------------------------------------------------


def _small(document: Document | None) -> Iterator[Bar]:
    together = {"lpips_vgg": 0.12, "dists": 0.08, "psnr": 23.0, "ms_ssim_db": 12.5}
    for rate, limits in ((0.05, together), (0.025, {"lpips_vgg": 0.14}), (0.006, {"lpips_vgg": 0.18})):
        yield _some_quality("128x256, lossless side view", document, rate, limits)
    yield _against(
        "128x256, lossless side view", document, "paper", "lpips_vgg", -80.0, "the paper's published points"
    )


def _full(document: Document | None) -> Iterator[Bar]:
    together = {"lpips_vgg": 0.28, "dists": 0.085, "ms_ssim_db": 10.0, "psnr": 22.5}
    yield _some_quality("full size, lossless side view", document, 0.04, together)
    yield _against("full size, lossless side view", document, "av1", "ms_ssim_db", 0.0, "AV1 intra")


def _some_quality(area: str, document: Document | None, rate: float, limits: Mapping[str, float]) -> Bar:
    """Judge `some quality at or below a rate meets every limit`; shown is the one that misses by least."""
    words = [
        f"{METRICS[key].label} {'≥' if METRICS[key].higher_is_better else '≤'} {limit:g}"
        for key, limit in limits.items()
    ]
    target = f"some quality at ≤ {rate:g} bpp with {', '.join(words)}{' together' if len(words) > 1 else ''}"
    if document is None:
        return _open(area, target)
    means = [(p["setting"], p["mean"]) for p in _ours(document)]
    fitting = [
        (setting, mean)
        for setting, mean in means
        if mean["bpp"] <= rate and all(mean.get(key) is not None for key in limits)
    ]
    if not fitting:
        rates = [mean["bpp"] for _, mean in means]
        why = f"lowest rate is {min(rates):.4f} bpp" if rates else "ours was not measured"
        return Bar(area, target, why + _sample(document), FAIL if rates else OPEN)
    setting, mean = min(fitting, key=lambda item: _worst_miss(item[1], limits))
    values = ", ".join(f"{METRICS[key].label} {mean[key]:.{METRICS[key].digits}f}" for key in limits)
    missed = _worst_miss(mean, limits) > 0
    measured = f"quality {setting}, {mean['bpp']:.4f} bpp: {values}{_sample(document)}"
    return Bar(area, target, measured, FAIL if missed else PASS)


def _worst_miss(mean: Mapping[str, float], limits: Mapping[str, float]) -> float:
    """Return by what fraction of its limit the worst metric misses; 0 or less when all are met."""
    return max(
        (limit - mean[key] if METRICS[key].higher_is_better else mean[key] - limit) / limit
        for key, limit in limits.items()
    )


def _against(area: str, document: Document | None, other: str, metric: str, percent: float, name: str) -> Bar:
    label = METRICS[metric].label
    wanted = f"≤ {percent:g} %" if percent else "below 0 %"
    target = (
        f"{label} BD-rate against {name} {wanted}; where the curves share no quality, better at equal rate"
    )
    if document is None:
        return _open(area, target)
    rows = [row for row in document.get("bd", []) if (row["against"], row["metric"]) == (other, metric)]
    if not rows:
        return Bar(area, target, "not compared in this result", OPEN)
    rate, gain = rows[0]["bd_rate_percent"], rows[0]["bd_quality"]
    if rate["value"] is not None:
        met = rate["value"] <= percent if percent else rate["value"] < 0
        measured = f"{rate['value']:+.1f} % over {label} {rate['low']:.4g} to {rate['high']:.4g}"
        return Bar(area, target, measured + _sample(document), PASS if met else FAIL)
    if gain["value"] is not None:
        measured = f"{rate['why']}; at equal rate {gain['value']:+.3f} (+ is better), {gain['low']:.4f} to "
        measured += f"{gain['high']:.4f} bpp{_sample(document)}"
        return Bar(area, target, measured, PASS if gain["value"] > 0 else FAIL)
    return Bar(area, target, f"{rate['why']}; {gain['why']}", OPEN)


def _monotone(document: Document | None, name: str) -> Iterator[Bar]:
    area, target = f"quality index, {name}", "the rate rises and LPIPS-VGG falls with each quality index"
    if document is None or "rate" not in document.get("monotone", {}):
        yield _open(area, target)
        return
    checks = document["monotone"]
    held = {key: checks[key]["holds"] for key in ("rate", "lpips_vgg") if key in checks}
    breaks = [f"{key} from {a} to {b}" for key in held for a, b, *_ in checks[key]["breaks"]]
    count = len(_ours(document))
    measured = "; ".join(breaks) if breaks else f"holds over {count} qualities"
    whole = len(held) == 2
    status = FAIL if breaks else PASS if whole else OPEN
    yield Bar(
        area, target, measured + ("" if whole else ", LPIPS-VGG not measured") + _sample(document), status
    )


def _range(document: Document | None) -> Iterator[Bar]:
    area = "quality index, 128x256"
    target = f"one model covers {LOWEST_BPP:g} to {HIGHEST_BPP:g} bpp"
    if document is None or not _ours(document):
        yield _open(area, target)
        return
    rates = [p["mean"]["bpp"] for p in _ours(document)]
    met = min(rates) <= LOWEST_BPP and max(rates) >= HIGHEST_BPP
    yield Bar(area, target, f"{min(rates):.4f} to {max(rates):.4f} bpp", PASS if met else FAIL)


def _entropy(document: Document | None) -> Iterator[Bar]:
    area = "entropy coding"
    target = f"payloads of all pictures and qualities within {100 * ENTROPY_OVERHEAD_ALLOWED:g} % of their information"
    small = f"packet header ≤ {HEADER_BYTES_ALLOWED} bytes"
    checks = (document or {}).get("entropy") or []
    if not checks:
        yield from (_open(area, target), _open(area, small))
        return
    # Over everything: a payload of 24 bytes loses some 2 % to whole bytes alone, whatever the coder does.
    information = sum(check["information_bits"] for check in checks)
    over = sum(check["payload_bits"] for check in checks) / information - 1
    worst = max(checks, key=lambda check: check["payload"])
    measured = (
        f"{100 * over:+.2f} %; worst at quality {worst['setting']}: {100 * worst['payload']:+.2f} %, of which whole "
        f"bytes alone {100 * worst['rounding']:+.2f} %"
    )
    yield Bar(area, target, measured, PASS if over <= ENTROPY_OVERHEAD_ALLOWED else FAIL)
    header = max(check["header_bytes"] for check in checks)
    yield Bar(area, small, f"{header:g} bytes", PASS if header <= HEADER_BYTES_ALLOWED else FAIL)


# --- the other results --------------------------------------------------------------------------------------


def _sequence(document: Document | None) -> Iterator[Bar]:
    area = "both cameras of a drive, equal total bytes"
    target = "better LPIPS-VGG than low-delay AV1 on both cameras from 32 to 256 kb/s at 10 Hz"
    rows = [
        row
        for row in (document or {}).get("comparisons", [])
        if (row["scope"], row["metric"], row["rival"]) == ("both", "lpips_vgg", "av1")
    ]
    if not rows:
        yield _open(area, target)
    for row in rows:
        who = [f"{reading['kbps']:g}: {reading['better']}" for reading in row["budgets"]]
        all_ours = all(reading["better"] == "ours" for reading in row["budgets"])
        crossings = row["crossings"]["kbps"]
        where = f"; crossing at {', '.join(f'{kbps:.0f}' for kbps in crossings)} kb/s" if crossings else ""
        measured = f"{row['split']}: better at kb/s {', '.join(who)}{where}"
        # A crossing is a finding to be explained in words, not a target that is met.
        yield Bar(area, target, measured, PASS if all_ours else FAIL)


def _lossy_side(lossless: Document | None, lossy: Document | None) -> Iterator[Bar]:
    area, target = (
        "robustness",
        "a JPEG-50 side view is never more than 15 % worse in LPIPS-VGG than a lossless one",
    )
    if lossless is None or lossy is None:
        yield _open(area, target)
        return
    worse = {}
    whole = {p["setting"]: p for p in _ours(lossless)}
    for point in _ours(lossy):
        pair = whole.get(point["setting"])
        values = _same_pictures(point, pair, "lpips_vgg") if pair else None
        if values:
            worse[point["setting"]] = values[0] / values[1] - 1
    if not worse:
        yield Bar(area, target, "no quality and picture in common", OPEN)
        return
    setting = max(worse, key=lambda key: worse[key])
    measured = f"worst at quality {setting}: {100 * worse[setting]:+.1f} %{_sample(lossy)}"
    yield Bar(area, target, measured, PASS if worse[setting] <= 0.15 else FAIL)


def _same_pictures(a: Document, b: Document, metric: str) -> tuple[float, float] | None:
    """Return the two points' means over the pictures that both have."""
    first, second = ({row["image"]: row.get(metric) for row in point["images"]} for point in (a, b))
    shared = [name for name in first if first[name] is not None and second.get(name) is not None]
    if not shared:
        return None
    return sum(first[name] for name in shared) / len(shared), sum(second[name] for name in shared) / len(
        shared
    )


def _stated(area: str, document: Document | None, target: str) -> Iterator[Bar]:
    """Yield the targets that a result states itself: `bars`, a list of {statement, values, passed, detail}.

    `values` are per quality index, `passed` is None where nothing was measured.
    """
    stated = (document or {}).get("bars") or []
    if not stated:
        yield _open(area, target)
    for bar in stated:
        status = OPEN if bar["passed"] is None else PASS if bar["passed"] else FAIL
        values = [f"q{quality}: {value:+.1f} %" for quality, value in bar.get("values", {}).items()]
        yield Bar(
            area,
            bar["statement"],
            "; ".join(part for part in (", ".join(values), bar["detail"]) if part),
            status,
        )


def _ablation(document: Document | None) -> Iterator[Bar]:
    """Yield the seed's Table 3: each of the two variants must cost bits at equal LPIPS-VGG."""
    found = {variant["name"]: variant for variant in (document or {}).get("variants", [])}
    for name, said in (("no-text-supervision", "text supervision"), ("no-text", "z_text")):
        target = f"leaving out {said} costs bits at equal LPIPS-VGG"
        against = ((found.get(name) or {}).get("against_reference") or {}).get("lpips_vgg")
        rate = None if against is None else against["bd_rate_percent"]["value"]
        if rate is None:
            yield _open("ablation", target)
            continue
        assert document is not None
        detail = f"BD-rate {rate:+.1f} %; {document['pairs']} pictures, one seed"
        yield Bar("ablation", target, detail, PASS if rate > 0 else FAIL)


def _speed(document: Document | None) -> Bar:
    area, target = "decoding time", "at most 20 ms a frame at 384x1248, batch 1, on an H200"
    goal = (document or {}).get("goal") or {}
    if goal.get("reached") is None:
        return _open(area, target)
    measured = (
        f"{goal['median_ms']:.2f} ms with {goal['steps']} step(s) on {(document or {}).get('device', '?')}"
    )
    return Bar(area, target, measured, PASS if goal["reached"] else FAIL)


def _budget(ledger: Document | None) -> Bar:
    area, target = "make bench", f"everything within {MINUTES_ALLOWED:g} minutes on 2 cores"
    if not ledger or not ledger.get("parts"):
        return _open(area, target)
    cores = sorted({entry["cores"] for entry in ledger["parts"].values()})
    # By the clock where everything was made in one go, else added up.
    minutes = max(ledger["minutes"], ledger.get("whole_minutes", 0.0))
    measured = f"{minutes:.0f} min for {len(ledger['parts'])} parts on {'/'.join(map(str, cores))} cores"
    if minutes > MINUTES_ALLOWED:
        return Bar(area, target, measured, FAIL)
    # A few parts within the hour say nothing about all of them.
    missing = [part.name for part in PARTS if part.name not in ledger["parts"]]
    if missing:
        return Bar(area, target, f"{measured}; not run: {', '.join(missing)}", OPEN)
    return Bar(area, target, measured, PASS)


def tally(found: Sequence[Bar]) -> dict[str, int]:
    """Return how many targets have each status."""
    return {status: sum(bar.status == status for bar in found) for status in (PASS, FAIL, OPEN)}


def table(document: Document) -> str:
    """Return the targets as a Markdown table."""
    lines = ["| about | target | measured | |", "| --- | --- | --- | --- |"]
    lines += [f"| {b['area']} | {b['target']} | {b['measured']} | {b['status']} |" for b in document["bars"]]
    counts = ", ".join(f"{document[status]} {status}" for status in (PASS, FAIL, OPEN))
    return "\n".join([*lines, "", f"{counts}."])


def _ours(document: Document) -> list[Document]:
    found = [point for point in document["points"] if point["method"] == OURS]
    return sorted(found, key=lambda point: point["setting"])


def _sample(document: Document) -> str:
    """Return a remark where not the whole data set was measured."""
    pairs, available = document.get("pairs"), document.get("pairs_available")
    return "" if pairs == available else f" ({pairs} of {available} pairs)"


def _open(area: str, target: str) -> Bar:
    return Bar(area, target, "not measured", OPEN)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks bars", description=__doc__)
    add: Callable[..., Any] = parser.add_argument
    add("--results", type=Path, default=RESULTS, help="folder of the results (default benchmarks/results)")
    add("--json", type=Path, help="write the targets to this file, too")
    add("--strict", action="store_true", help="exit code 1 unless every target is passed")
    return parser
