"""File formats: each file of this folder reads one format, and turns every damage into InvalidInput."""
