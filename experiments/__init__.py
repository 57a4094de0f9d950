"""From a raw log to a table: data, training, the shared evaluation core, runs, studies and reports."""
