"""From the bytes of a request to committed rows: wire, admission, intake."""
