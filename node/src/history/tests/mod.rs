//! A random life of a small bank, asked about in every way, against slow answers found by looking at all of it.

mod events;
mod measure;
mod model;
mod pages;
mod play;
mod settlement;
mod site;
mod stories;
mod words;
