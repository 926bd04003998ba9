"""Bytes to records and back, pure: nothing here opens a file."""
