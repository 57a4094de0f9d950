"""The shared evaluation core: everything after a Ranking exists. Methods cannot import it; none marks its own exam."""
