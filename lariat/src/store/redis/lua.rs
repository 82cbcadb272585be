//! Every Lua file, embedded. A new file is a line here; `script.rs` composes them.

/// Scripts that are called: name and `lua/<name>.lua`.
pub(super) const SCRIPTS: &[(&str, &str)] = &[];

/// Steps that scripts include: name and `lua/lib/<name>.lua`.
pub(super) const STEPS: &[(&str, &str)] = &[];
