"""Yett: a secure API gateway for microservices."""
