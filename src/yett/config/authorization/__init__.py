"""What rules are made of: tenants, roles, attributes, and how a route's rules become one policy."""
