"""The contract between core and a backend: hook specifications, and the client that calls them."""
