//! Wrong usage, as programs read it.

use testkit::Homes;

#[test]
fn wrong_usage_is_an_object_with_json_and_a_text_without() {
    let homes = Homes::new(&[]);
    for args in [
        &["send"][..],
        &["--nope"],
        &["bogus"],
        &["certs"],
        &["certs", "init"],
        &["serve", "--listen", "x"],
        &["serve", "--inbox", "maybe"],
        &["receive", "--all", "x"],
        &["send", "f", "--to"],
        &["send", "f", "--jobs", "0"],
        &["completions", "tcsh"],
        &["menu", "x\u{1b}[31m"],
    ] {
        let ran = homes.run("a", args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(
            ran.err.contains("Usage: colis") || ran.err.contains("--help"),
            "{}",
            ran.err
        );
        for args in [[&["--json"], args].concat(), [args, &["--json"]].concat()] {
            // There it is the value of an option, or what lacks one.
            if args.ends_with(&["--to", "--json"]) || args.ends_with(&["init", "--json"]) {
                continue;
            }
            let ran = homes.run("a", &args);
            assert_eq!((ran.code, ran.err.as_str()), (2, ""), "{args:?}");
            let object: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
            assert_eq!(
                (&object["event"], &object["exit"]),
                (&"error".into(), &2.into())
            );
            assert!(
                !object["message"].as_str().unwrap().is_empty(),
                "{}",
                ran.out
            );
            assert!(
                object["hint"].as_str().unwrap().contains("colis"),
                "{}",
                ran.out
            );
            assert!(!ran.out.contains('\u{1b}'));
        }
    }
    let ran = homes.run("a", &["send", "--", "--json"]);
    assert!(ran.out.is_empty(), "{ran:?}");
    let ran = homes.run("a", &["--json", "--help"]);
    assert!(ran.code == 0 && ran.out.contains("Usage"), "{ran:?}");
}
