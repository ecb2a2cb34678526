"""Receipts: is a record what its study says? Runs recomputed and compared, records merged, damage mended."""
