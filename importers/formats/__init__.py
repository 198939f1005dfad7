"""File formats of weights, read without PyTorch and without running what they hold."""
