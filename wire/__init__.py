"""What travels between connector, relay and agent. Nothing here does I/O."""
