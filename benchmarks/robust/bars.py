"""The bars: what the side view may cost when it is lossy, stale or wrong."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.robust.store import Store
from benchmarks.robust.sweeps import LOSSLESS, NONE

JPEG_LIMIT_PERCENT = 15.0
WRONG_LIMIT_PERCENT = 10.0
METRIC = "lpips_vgg"


@dataclass(frozen=True)
class Bar:
    """Hold one bar and what was measured.

    Attributes:
        name: for files.
        statement: what is asked.
        values: quality index -> measured change of LPIPS-VGG in percent.
        passed: None where it was not measured.
        detail: what stands behind the values, or why there are none.
    """

    name: str
    statement: str
    values: dict[int, float]
    passed: bool | None
    detail: str

    def line(self) -> str:
        """Return the bar as a line for readers."""
        verdict = {None: "not measured", True: "PASS", False: "FAIL"}[self.passed]
        shown = ", ".join(f"q{quality}: {value:+.1f} %" for quality, value in self.values.items())
        return f"{verdict:<12} {self.statement}: {shown + '; ' if shown else ''}{self.detail}"


def bars(store: Store) -> list[Bar]:
    """Return every bar, measured or not."""
    return [_jpeg(store), _stale(store), _wrong(store)]


def _jpeg(store: Store) -> Bar:
    values = _changes(store, "side", "jpeg:50", LOSSLESS)
    return Bar(
        "jpeg-50",
        f"LPIPS-VGG with a JPEG-50 side view at most {JPEG_LIMIT_PERCENT:g} % above a lossless one",
        values,
        all(value <= JPEG_LIMIT_PERCENT for value in values.values()) if values else None,
        f"means of {len(store.places('side'))} pictures" if values else "the sweep `side` has no LPIPS-VGG",
    )


def _stale(store: Store) -> Bar:
    values = _changes(store, "stale", "stale:2", NONE)
    return Bar(
        "stale-2",
        "LPIPS-VGG with a side view 2 frames old below that without any",
        values,
        all(value < 0 for value in values.values()) if values else None,
        f"means of {len(store.places('stale'))} pictures"
        if values
        else "no sequence in the data, or the sweep `stale` was not run with LPIPS-VGG",
    )


def _wrong(store: Store) -> Bar:
    worst: dict[int, float] = {}
    above = count = 0
    for quality in store.qualities("wrong"):
        without = {row["place"]: row.get(METRIC) for row in store.select("base", NONE, quality)}
        for row in store.select("wrong", quality=quality):
            reference, value = without.get(row["place"]), row.get(METRIC)
            if reference is None or value is None:
                continue
            change = 100 * (value / reference - 1)
            worst[quality] = max(worst.get(quality, change), change)
            above += change > WRONG_LIMIT_PERCENT
            count += 1
    return Bar(
        "wrong",
        f"LPIPS-VGG with a side view of elsewhere never more than {WRONG_LIMIT_PERCENT:g} % above none",
        worst,
        all(value <= WRONG_LIMIT_PERCENT for value in worst.values()) if worst else None,
        f"the worst of {count} pictures, {above} of them above"
        if worst
        else "the sweep `wrong` has no LPIPS-VGG",
    )


def _changes(store: Store, sweep: str, condition: str, reference: str) -> dict[int, float]:
    """Return quality -> change in percent of the mean of a condition against a reference on the same places."""
    found = {}
    places = store.places(sweep)
    for quality in store.qualities(sweep):
        value = store.mean(METRIC, sweep, condition, quality)
        against = store.mean(METRIC, "base", reference, quality, places)
        if value is not None and against:
            found[quality] = 100 * (value / against - 1)
    return found
