//! Faults that can be switched on to prove that the reliability tests would see them. No release build has them.
//!
//! With the feature `sabotage`, the variable `COLIS_SABOTAGE` names what is left out, with commas between.

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("the feature `sabotage` leaves out what keeps data safe: it is for tests only");

/// Whether `what` is left out.
pub(crate) fn without(what: &str) -> bool {
    let is_named = |list: String| list.split(',').any(|out| out == what);
    cfg!(feature = "sabotage") && std::env::var("COLIS_SABOTAGE").is_ok_and(is_named)
}
