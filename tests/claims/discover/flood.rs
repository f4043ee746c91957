//! A flood of multicast DNS, in short; `tests/harness/tests/network` has it at full length.

#[test]
fn a_flood_of_multicast_dns_costs_little_memory_and_hides_nobody() {
    testkit::flood::is_survived(20_000);
}
