//! The program in surroundings that are unlike those of its makers: other names, variables, signals and terminals.

mod addresses;
mod homeless;
mod listening;
mod not_utf8;
mod settings;
mod signals;
mod unit;
mod threads;
mod usage;
mod waiting;
