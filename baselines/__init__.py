"""The contract all methods share (`interests`, `ranker`, `recommender`) and the fixed-K methods to beat."""
