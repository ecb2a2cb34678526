"""`python -m losscope` is `losscope`."""

from losscope.cli import main

main()
