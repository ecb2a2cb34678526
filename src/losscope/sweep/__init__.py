"""Sweeps: from a study to units of work, over processes, into one folder."""
