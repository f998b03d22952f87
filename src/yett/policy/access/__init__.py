"""Who can reach what: asked of the engine, never worked out beside it."""
