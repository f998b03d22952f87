//! Signed tokens (RFC 7519). [owner: credentials]
