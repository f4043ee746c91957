//! The program in surroundings that are unlike those of its makers: other names, variables, signals and terminals.

mod addresses;
mod homeless;
mod large_files;
mod listening;
mod not_files;
mod not_utf8;
mod settings;
mod signals;
mod threads;
mod unit;
mod usage;
mod waiting;
