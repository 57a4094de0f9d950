"""Run directories -> tables, plots and a report, from files alone."""
