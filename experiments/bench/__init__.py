"""Speed, measured on demand; never inside the tests. Ratios are between figures of one run."""
