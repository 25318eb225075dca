//! The program as a user or a script runs it: what it prints to standard output and to standard error, and its exit
//! code.

mod augment;
mod bad_recordings;
mod bad_requests;
mod classify;
mod commands;
mod convert;
mod devices;
mod doctor;
mod explain;
mod plot;
mod score;
mod serve;
mod support;
mod tuning;
