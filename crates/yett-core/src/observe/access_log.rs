//! Access log as JSON lines. [owner: lifecycle]
