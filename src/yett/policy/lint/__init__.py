"""The rules of `yett lint`: each one is a module here, a page in `docs/lint`, and a line in this list."""

from __future__ import annotations

from yett.policy.lint import (
    access_log_off,
    address_only,
    api_key_only,
    authenticated_only,
    body_limit_missing,
    broad_methods,
    broad_path,
    environment_missing,
    ignore_expired,
    ignore_unused,
    plaintext_service,
    plaintext_trust,
    public_rest,
    public_write,
    rate_limit_missing,
    secret_in_file,
    shared_secret,
    unused_group,
    unused_provider,
    unused_role,
    unused_service,
)
from yett.policy.linter.rule import Rule

RULES: tuple[Rule, ...] = (
    access_log_off.RULE,
    address_only.RULE,
    api_key_only.RULE,
    authenticated_only.RULE,
    body_limit_missing.RULE,
    broad_methods.RULE,
    broad_path.RULE,
    environment_missing.RULE,
    ignore_expired.RULE,
    ignore_unused.RULE,
    plaintext_service.RULE,
    plaintext_trust.RULE,
    public_rest.RULE,
    public_write.RULE,
    rate_limit_missing.RULE,
    secret_in_file.RULE,
    shared_secret.RULE,
    unused_group.RULE,
    unused_provider.RULE,
    unused_role.RULE,
    unused_service.RULE,
)
