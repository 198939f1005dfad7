"""What layers need for training: low-rank kernels, dropout, custom gradients."""
