"""What `make gpu-check` measures on a host with a GPU, a module a part."""
