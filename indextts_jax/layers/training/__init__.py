"""What layers need for training: low-rank kernels, dropout, gradients written by hand."""
