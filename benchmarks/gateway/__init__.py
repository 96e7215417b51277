"""Many live vehicles on one real server: how many it holds, and how late their acks come."""
