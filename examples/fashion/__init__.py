"""A small conv net on Fashion-MNIST: the example that branchlab's demo grows its branches from."""
