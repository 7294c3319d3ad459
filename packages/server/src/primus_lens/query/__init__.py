"""What readers ask: curves, progress, the inventory of workloads."""
