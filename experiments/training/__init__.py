"""Batches by array indexing, and `fit`: optimiser, early stopping, checkpoint and exact resume."""
