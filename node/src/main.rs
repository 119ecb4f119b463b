//! The program `evenkeel`: one binary for nodes, operators and people.

fn main() -> std::process::ExitCode {
    evenkeel_node::cli::main()
}
