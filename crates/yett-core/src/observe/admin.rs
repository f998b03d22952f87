//! /healthz, /readyz, /metrics. [owner: lifecycle]
