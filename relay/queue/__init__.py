"""Leases for remote agents, as Lua over RQ's own keys."""
