"""What is the same for every place that is reached by running shell text in it."""
