"""The desktop process: it leases links outbound, walks them and writes the results back."""
