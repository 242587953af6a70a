//! The program `wick`.

fn main() -> std::process::ExitCode {
    wick::cli::main()
}
