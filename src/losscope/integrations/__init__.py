"""Adapters to other people's packages: each translates, in one file, and imports its package only when it is used."""
