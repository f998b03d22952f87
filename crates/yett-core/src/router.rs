//! Host, path template, method, header and query matching. [owner: core]
