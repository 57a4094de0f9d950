"""Tuning: the same number of trials and the same shared dimensions for every method, chosen on validation alone."""
