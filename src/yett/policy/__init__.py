"""Policy tools: what a configuration decides, asked of the engine that decides live requests."""
