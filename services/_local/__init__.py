"""The code of `make run`, `make live`, `make images` and `make secrets`. Not a service."""
