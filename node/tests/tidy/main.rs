//! What a stranger relies on when they read the tree: its shape, its names, its borders. A rule
//! that matters is a test.
//!
//! Every check is a function from sources to complaints, and each has a test that shows it
//! complain.

mod borders;
mod circles;
mod comments;
mod crates;
mod folders;
mod names;
mod sources;
mod walks;

/// Fails with all complaints at once.
fn assert_tidy(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
