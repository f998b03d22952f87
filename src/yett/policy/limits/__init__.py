"""Limits that observed traffic asks for: `yett limits suggest`."""
