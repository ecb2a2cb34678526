"""losscope: what a metric-learning loss does to embeddings and to training, and whether one is really better."""

__version__ = "0.1.0"
