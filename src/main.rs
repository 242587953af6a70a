//! The program `wick`.

/// Keeps what a forward pass gives back for the next: memory fresh from the system is cleared page
/// by page, which took a sixth of a prompt's time and two thirds of the loading.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    wick::cli::main()
}
