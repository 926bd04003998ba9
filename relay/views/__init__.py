"""The web edge: read, call one function that decides, answer."""
