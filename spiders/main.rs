//! Every spider in this folder, and the commands to run them.

nephila::spiders!();

fn main() -> std::process::ExitCode {
    nephila::cli::main()
}
