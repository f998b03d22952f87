"""From an OpenAPI description to a configuration that lets in what it describes, and nothing else."""
