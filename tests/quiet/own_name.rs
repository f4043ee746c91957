//! Pairing by the name of this machine: no other test may show a code here meanwhile.

use std::fs;

use testkit::Homes;

#[tokio::test]
async fn the_name_of_this_machine_is_no_other_that_shows_a_code() {
    let _alone = crate::MACHINE.write().await;
    let Some(own) = colis::session::host_name() else {
        return;
    };
    let homes = Homes::new(&[]);
    fs::write(homes.path("code.txt"), "7-lotus-castor\n").unwrap();
    for name in [own.clone(), own.to_uppercase(), format!("{own}.local")] {
        let said = homes.fails(
            "b",
            &["pair", &name, "--name", "b", "--code-file", "code.txt"],
            2,
        );
        assert!(said.contains("is this machine itself"), "{said}");
        assert!(said.contains("on the other machine: colis pair"), "{said}");
    }
    assert!(!homes.home("b").exists());
}
