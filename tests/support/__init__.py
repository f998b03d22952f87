"""The vocabulary of the tests: `gateway(config)`, `origin()`, `issuer()`, a raw client."""
