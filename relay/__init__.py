"""The service: gate, queue and ledger. It cannot touch a sheet."""
