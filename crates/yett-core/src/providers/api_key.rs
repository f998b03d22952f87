//! Keys that we handed out. [owner: credentials]
