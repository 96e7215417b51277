"""Bounds on everything that arrives by wire, and the gRPC options that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

WIRE_VERSION = 2
"""Version of proto/TRANSPORT.md; hello and welcome carry it. Not the version of the package."""

MIB = 1 << 20

KEEPALIVE_TIME_MS = 10_000
"""A connection is probed after this much silence ..."""
KEEPALIVE_TIMEOUT_MS = 10_000
"""... and given up when the probe stays unanswered for this long."""

HANDSHAKE_TIMEOUT_MS = 10_000
"""Time for TLS and the first frames of HTTP/2; a socket that is only held open costs a server no more than that."""
IDLE_CONNECTION_MS = 60_000
"""A connection without any call is closed after this long."""
MAX_CALLS_PER_CONNECTION = 16
MAX_CONNECTIONS = 1024
IDENTITY_ONLY = 1
"""Bit mask of gRPC's message compressions: none. A compressed message is inflated before its size is checked."""


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
        max_telemetry_bytes: data of one telemetry message, as sent.
        max_kind_chars: length of a telemetry record's kind.
        max_ranges: ranges that a welcome may list.
        max_deadline_ms: longest deadline.
        max_answer_bytes: one gRPC message on the way down, where no pictures travel.
    """

    max_message_bytes: int = 16 * MIB
    max_packet_bytes: int = 1 * MIB
    max_side_bytes: int = 16 * MIB - 4096
    min_side_pixels: int = 64
    max_side_pixels: int = 4096
    max_vehicle_chars: int = 64
    max_text_chars: int = 512
    max_in_flight: int = 4096
    max_telemetry_bytes: int = 64 << 10
    max_kind_chars: int = 32
    max_ranges: int = 256
    max_deadline_ms: int = 3_600_000
    max_answer_bytes: int = 64 << 10


LIMITS = StreamLimits()


def client_options(limits: StreamLimits = LIMITS) -> list[tuple[str, int]]:
    """Return the channel options of the edge: message bounds and keepalive while a stream is open."""
    return [
        *_message_options(limits.max_message_bytes, limits.max_answer_bytes),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        # Probing bandwidth costs a ping for each ack received; acks are small, the default window is ample.
        ("grpc.http2.bdp_probe", 0),
    ]


def server_options(limits: StreamLimits = LIMITS) -> list[tuple[str, int]]:
    """Return the server options of the cloud: the same, and patience with the edge's probes."""
    return [
        *_message_options(limits.max_message_bytes, limits.max_message_bytes),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        # Without this, gRPC takes a probe each 10 s for abuse and closes the connection.
        ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_TIME_MS // 2),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
        ("grpc.max_connection_idle_ms", IDLE_CONNECTION_MS),
        ("grpc.max_concurrent_streams", MAX_CALLS_PER_CONNECTION),
        ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
        # Two servers on one port would each get half of the vehicles: a taken port has to be an error.
        ("grpc.so_reuseport", 0),
    ]


def _message_options(send_bytes: int, receive_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_send_message_length", send_bytes),
        ("grpc.max_receive_message_length", receive_bytes),
        ("grpc.compression_enabled_algorithms_bitset", IDENTITY_ONLY),
    ]
