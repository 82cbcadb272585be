//! Times the table.

fn main() {}
