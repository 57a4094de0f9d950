"""The command line: one file per verb; `arguments` turns flags, YAML and defaults into a RunConfig."""
