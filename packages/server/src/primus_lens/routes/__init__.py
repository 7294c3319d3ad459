"""HTTP: what comes in, what goes out, which status says it."""
