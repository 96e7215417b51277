from __future__ import annotations

from common.stream.limits import LIMITS, StreamLimits, client_options, server_options


def test_a_full_side_frame_fits_in_a_message() -> None:
    assert LIMITS.max_side_bytes + 64 <= LIMITS.max_message_bytes
    assert LIMITS.max_packet_bytes <= LIMITS.max_side_bytes


def test_both_ends_bound_messages() -> None:
    small = StreamLimits(max_message_bytes=1234, max_answer_bytes=99)
    client, server = dict(client_options(small)), dict(server_options(small))
    assert client["grpc.max_send_message_length"] == server["grpc.max_receive_message_length"] == 1234
    assert client["grpc.max_receive_message_length"] == 99  # no pictures travel down


def test_the_server_bears_the_clients_probes() -> None:
    client, server = dict(client_options()), dict(server_options())
    assert server["grpc.http2.min_ping_interval_without_data_ms"] < client["grpc.keepalive_time_ms"]
    assert server["grpc.so_reuseport"] == 0
