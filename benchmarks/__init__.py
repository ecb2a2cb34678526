"""Measurements of speed; each writes its rows to a JSON file, and the README quotes only those."""
