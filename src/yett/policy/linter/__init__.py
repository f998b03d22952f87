"""What runs the rules of `yett.policy.lint`: context, places, exceptions, fixes, reports."""
