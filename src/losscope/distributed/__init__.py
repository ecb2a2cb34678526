"""Whether a criterion means the same on several processes as on one: `verify_distributed`.

oracle      the comparison and what it says
processes   a criterion in processes of its own, on this machine
"""

from losscope.distributed.oracle import DistributedVerdict, verify_distributed

__all__ = ["DistributedVerdict", "verify_distributed"]
