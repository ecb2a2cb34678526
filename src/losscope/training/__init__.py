"""Training: batches, models, the one loop, and one cell's way from data to records."""
