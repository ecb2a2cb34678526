"""The command line: one verb, one public function; what a flag says, a study file can say too."""

from losscope.cli.app import main

__all__ = ["main"]
