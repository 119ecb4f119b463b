//! A random history of a small bank, queried in every way and compared with a slow model.

mod events;
mod measure;
mod model;
mod pages;
mod play;
mod settlement;
mod site;
mod stories;
mod threads;
mod watched_disk;
mod words;
