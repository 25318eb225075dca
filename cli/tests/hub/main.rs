//! Models by name, from a local server that speaks the routes of the Hugging Face Hub, correctly or with faults.

mod command_line;
mod faults;
mod names;
mod shared_cache;
mod support;
