"""The control plane: everything that happens beside the requests."""
