"""Methods without a gradient, under the same evaluator: the bar every learned method has to clear."""
