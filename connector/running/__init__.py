"""``linkrow run``: its relay and agent, what goes in, what comes back, what a person sees."""
