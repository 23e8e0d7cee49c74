"""`make new-exchange`: a connector's folder to fill in, and the exchange in every file."""
