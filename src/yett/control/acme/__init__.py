"""Certificates that are ordered from an authority and renewed (ACME, RFC 8555)."""
