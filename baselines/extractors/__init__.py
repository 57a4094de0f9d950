"""Fixed-K interest extractors, one file per family."""
