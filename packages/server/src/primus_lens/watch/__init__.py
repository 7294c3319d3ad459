"""The watch over running runs: judging them, and telling what is wrong."""
