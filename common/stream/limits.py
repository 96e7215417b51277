"""Bounds on everything that arrives by wire, and the gRPC options that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

WIRE_VERSION = 1
"""Version of proto/TRANSPORT.md; hello and welcome carry it. Not the version of the package."""

MIB = 1 << 20

KEEPALIVE_TIME_MS = 10_000
"""A connection is probed after this much silence ..."""
KEEPALIVE_TIMEOUT_MS = 10_000
"""... and given up when the probe stays unanswered for this long."""


@dataclass(frozen=True)
class StreamLimits:
    """Bounds that a receiver enforces before it keeps anything.

    Attributes:
        max_message_bytes: one gRPC message; gRPC itself refuses longer ones unread.
        max_packet_bytes: the packet of one main frame.
        max_side_bytes: the coded side view of one frame; leaves room for the message around it.
        min_side_pixels: smallest height or width of either view.
        max_side_pixels: largest height or width of either view.
        max_vehicle_chars: length of a vehicle's name.
        max_text_chars: length of any other text.
        max_in_flight: largest window a welcome may offer.
    """

    max_message_bytes: int = 16 * MIB
    max_packet_bytes: int = 1 * MIB
    max_side_bytes: int = 16 * MIB - 4096
    min_side_pixels: int = 64
    max_side_pixels: int = 4096
    max_vehicle_chars: int = 64
    max_text_chars: int = 512
    max_in_flight: int = 4096


LIMITS = StreamLimits()


def client_options(limits: StreamLimits = LIMITS) -> list[tuple[str, int]]:
    """Return the channel options of the edge: message bounds and keepalive while a stream is open."""
    return [
        *_message_options(limits),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        # Probing bandwidth costs a ping for each ack received; acks are small, the default window is ample.
        ("grpc.http2.bdp_probe", 0),
    ]


def server_options(limits: StreamLimits = LIMITS) -> list[tuple[str, int]]:
    """Return the server options of the cloud: the same, and patience with the edge's probes."""
    return [
        *_message_options(limits),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        # Without this, gRPC takes a probe each 10 s for abuse and closes the connection.
        ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_TIME_MS // 2),
        ("grpc.keepalive_permit_without_calls", 0),
        # Two servers on one port would each get half of the vehicles: a taken port has to be an error.
        ("grpc.so_reuseport", 0),
    ]


def _message_options(limits: StreamLimits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_send_message_length", limits.max_message_bytes),
        ("grpc.max_receive_message_length", limits.max_message_bytes),
    ]
