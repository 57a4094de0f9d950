"""Interests whose number follows from the data: density clusters of a user's behaviours, and sparse routing."""
