"""One short file per question. A study is data, arms x seeds x a dataset, and `runner` is the only loop."""
