"""Policy tests: what a configuration has to let in and to refuse, asked of the engine that decides live requests."""
