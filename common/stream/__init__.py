"""Hold what both ends of the stream share: messages, their limits, bounded queues, counters; no sockets."""
