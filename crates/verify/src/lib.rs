//! Drift metrics, latency protocol, task scores and gates.
