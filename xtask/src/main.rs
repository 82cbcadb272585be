//! Checks that neither cargo nor clippy makes: `cargo run -p xtask -- tidy`.

mod tidy;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args != ["tidy"] {
        eprintln!("usage: cargo run -p xtask -- tidy");
        return ExitCode::from(2);
    }
    let Some(root) = Path::new(env!("CARGO_MANIFEST_DIR")).parent() else {
        eprintln!("tidy: the workspace folder is gone");
        return ExitCode::FAILURE;
    };
    match tidy::Tree::read(root) {
        Ok(tree) => {
            let problems = tidy::check(&tree);
            for problem in &problems {
                eprintln!("{problem}");
            }
            eprintln!("tidy: {} files, {} problems", tree.len(), problems.len());
            ExitCode::from(u8::from(!problems.is_empty()))
        }
        Err(e) => {
            eprintln!("tidy: {}: {e}", root.display());
            ExitCode::FAILURE
        }
    }
}
