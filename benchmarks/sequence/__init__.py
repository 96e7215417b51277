"""A stereo drive at equal total bytes: ours beside an AV1 side view, against HEVC and AV1 on both cameras."""
