//! The journal (sketch, replaced at merge).
pub mod index;
