"""The second reader's part for refinements (proto/BITSTREAM.md, section 5.1); see reference_reader.py."""

from __future__ import annotations

from typing import Any


def nested(tables: dict[str, Any], name: str) -> Any:
    """Return an array of tables.json as nested lists."""
    values = tables[name]["data"]
    for length in reversed(tables[name]["shape"][1:]):
        values = [values[at : at + length] for at in range(0, len(values), length)]
    return values


def read_levels(decoder: Any, shape: tuple[int, int], row: int, tables: dict[str, Any]) -> list[int]:
    """Section 5.1: the levels of all blocks, 256 each, in raster order."""
    steps, edges = nested(tables, "refine_step")[row], tables["refine_edges"]["data"]
    cdfs, skip = nested(tables, "refine_cdf"), tables["refine_skip"]["data"][0]
    blocks = [(i, j) for i in range(shape[0]) for j in range(shape[1])]
    level: dict[tuple[int, int, int, int], int] = {}

    def m(i: int, j: int, v: int, u: int) -> int:
        return 0 if (v, u) == (0, 0) else min(255, abs(level.get((i, j, v, u), 0)))

    def whole(i: int, j: int) -> int:
        return sum(m(i, j, v, u) for v in range(16) for u in range(16))

    for v, u in sorted(((v, u) for v in range(16) for u in range(16)), key=lambda at: (sum(at), at[0])):
        if steps[v][u] == 0:
            continue
        chosen = []
        for i, j in blocks:
            beside = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            near = m(i, j, v - 1, u) + m(i, j, v, u - 1)
            features = [
                near,
                m(i, j, v - 1, u - 1) + m(i, j, v - 2, u) + m(i, j, v, u - 2),
                sum(m(*b, v - 1, u) + m(*b, v, u - 1) + m(*b, v - 1, u - 1) for b in beside),
                whole(i, j),
                sum(whole(*b) for b in beside),
            ]
            weights = nested(tables, "refine_weight")[row][16 * v + u]
            score = nested(tables, "refine_bias")[row][16 * v + u]
            score += sum(w * f for w, f in zip(weights, features, strict=True))
            chosen.append(sum(edge <= score for edge in edges))
        values = iter(decoder.segment([cdfs[table] for table in chosen if table > skip], 65535))
        for (i, j), table in zip(blocks, chosen, strict=True):
            if table > skip:
                level[i, j, v, u] = next(values)
    return [level.get((i, j, v, u), 0) for i, j in blocks for v in range(16) for u in range(16)]


def predictions(y16: list[int], shape: tuple[int, int], row: int, tables: dict[str, Any]) -> list[int]:
    """Section 5.1: what the first coefficient of each block is relative to, in 1/1024."""
    weights, step = tables["refine_dc"]["data"], nested(tables, "refine_step")[row][0][0]
    height, width = shape
    channels = len(y16) // (height * width)
    result = []
    for i in range(height):
        for j in range(width):
            total = weights[-1]
            for dy in range(3):
                for dx in range(3):
                    y = min(height - 1, max(0, i + dy - 1))
                    x = min(width - 1, max(0, j + dx - 1))
                    for c in range(channels):
                        total += weights[(3 * dy + dx) * channels + c] * y16[(c * height + y) * width + x]
            near = min(65536, max(-65536, ((total + 2048) >> 12) + step // 2))
            result.append(near // step * step)
    return result
