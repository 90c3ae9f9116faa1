//! Staging, journal, digests and atomic publication of an artifact folder.
