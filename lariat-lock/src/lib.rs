//! Leases kept alive.
