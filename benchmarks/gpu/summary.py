"""What the rows of a GPU timing run come to: the best variants, the goal, a table with its notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

GOAL_MS, GOAL_SIZE, GOAL_DEVICE = 20.0, (384, 1248), "H200"


def best(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the fastest working variant of ours for each size, batch and steps, beside the reference's fastest."""
    found: list[dict[str, Any]] = []
    for row in rows:
        place = {key: row[key] for key in ("height", "width", "batch")}
        if row["what"] != "ours" or any(
            f["steps"] == row["steps"] and place.items() <= f.items() for f in found
        ):
            continue
        here = [r for r in rows if place.items() <= r.items() and "median_ms" in r]
        mine = [r for r in here if r["what"] == "ours" and r["steps"] == row["steps"]]
        working = [r for r in mine if r["psnr_to_fp32"] is not None]
        if not working:
            continue
        fastest = min(working, key=lambda r: r["median_ms"])
        served = next((r for r in mine if r["variant"] == "fp32"), None)
        theirs = min(
            (r for r in here if r["what"] == "reference"), key=lambda r: r["median_ms"], default=None
        )
        found.append(
            {key: fastest[key] for key in (*place, "steps", "variant", "median_ms", "p95_ms", "psnr_to_fp32")}
            | {"as_served_ms": None if served is None else served["median_ms"]}
            | {
                "reference_ms": None if theirs is None else theirs["median_ms"],
                "reference_variant": None if theirs is None else theirs["variant"],
            }
        )
    return found


def goal(found: Sequence[dict[str, Any]], device: str) -> dict[str, Any]:
    """Return whether the goal is met: at most 20 ms a frame at 384x1248, batch 1, fewest steps, on an H200."""
    wanted = [f for f in found if (f["height"], f["width"]) == GOAL_SIZE and f["batch"] == 1]
    row = min(wanted, key=lambda f: f["steps"], default=None)
    right = GOAL_DEVICE in device
    reached = None if row is None or not right else bool(row["median_ms"] <= GOAL_MS)
    what = f"at most {GOAL_MS:g} ms a frame at {GOAL_SIZE[0]}x{GOAL_SIZE[1]}, batch 1, on an {GOAL_DEVICE}"
    return {
        "what": what,
        "median_ms": row and row["median_ms"],
        "steps": row and row["steps"],
        "reached": reached,
    }


def notes(small: bool, with_reference: bool, weights: str) -> list[str]:
    """Return what a reader of the numbers must know."""
    said = [
        "ours works on sides padded to a multiple of 64 (1248 columns are computed as 1280), the reference on "
        "multiples of 8",
        "timed is the network, inputs and picture on the device; entropy decoding and copies to and from the host are "
        "not in it",
    ]
    if weights == "random":
        said.append(
            "weights are random: times hold for any, and psnr_to_fp32 says whether a variant computes the same"
        )
    if with_reference:
        said.append(
            "left out of the reference, to its advantage: the side view's VAE encoder, captioner and text encoder"
        )
    if small:
        said.append(
            "--small: a tiny size and a scaled-down reference; it shows that the command runs, no number is of use"
        )
    return said


def table(document: dict[str, Any]) -> str:
    """Return the best rows as a Markdown table, the goal, the failures and the notes."""
    reference = document["reference"]
    lines = [
        f"{document['device']}, torch {document['torch']}; milliseconds a frame, median of up to "
        f"{document['settings']['repeat']} runs, batch time divided by batch",
        "",
        f"| size | batch | steps | ours, best | p95 | how | as served | {_heading(reference)} | ratio |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for row in document["best"]:
        theirs = row["reference_ms"]
        cells = [f"{row['height']}x{row['width']}", str(row["batch"]), str(row["steps"])]
        cells += [f"{row['median_ms']:.2f}", f"{row['p95_ms']:.2f}", row["variant"], _ms(row["as_served_ms"])]
        cells += ["not run", ""] if theirs is None else [
            f"{theirs:.2f} ({row['reference_variant']})", _ratio(row, reference)
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    aim = document["goal"]
    verdict = {None: "not measured here", True: "reached", False: "MISSED"}[aim["reached"]]
    value = "" if aim["median_ms"] is None else f" ({aim['median_ms']:.2f} ms at {aim['steps']} step(s))"
    lines += ["", f"Goal, {aim['what']}: {verdict}{value}."]
    failed = sorted(
        {f"{r['what']}, {r['variant']}: {r['failed']}" for r in document["rows"] if "failed" in r}
    )
    lines += ["", *(f"Could not be run: {text}" for text in failed)] if failed else []
    return "\n".join([*lines, "", *(f"Note: {note}." for note in document["notes"])])


def _heading(reference: dict[str, Any] | None) -> str:
    if reference is None:
        return "reference"
    size = "SCALED-DOWN latent diffusion" if reference["tiny"] else "SD-2.1-sized"
    return f"{size}, {reference['steps']} steps with guidance"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _ratio(row: dict[str, Any], reference: dict[str, Any] | None) -> str:
    """Return how many times longer the reference takes; nothing where it is not of the size it stands for."""
    if reference is None or reference["tiny"]:
        return ""
    return f"{row['reference_ms'] / row['median_ms']:.1f}"
