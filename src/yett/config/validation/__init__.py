"""Schemas of requests and answers: read, checked and compiled for the data plane."""
