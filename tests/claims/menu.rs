//! The menu on a real terminal, made for the test: every entry, wrong answers, and every way to end.

mod alive;
mod endings;
mod entries;
mod first_run;
mod interrupts;
mod plain;
mod received;
mod small;
mod transfers;
mod undo;
