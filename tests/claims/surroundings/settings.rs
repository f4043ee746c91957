//! Files that people keep in their own way: links, modes, remarks, other encodings.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use testkit::Homes;

#[test]
fn config_set_keeps_the_link_the_mode_and_what_is_not_the_value() {
    let homes = Homes::new(&[]);
    let (file, link) = (homes.path("real.toml"), homes.home("a").join("colis.toml"));
    symlink("../real.toml", &link).unwrap();
    for mode in [0o600, 0o640, 0o644] {
        fs::write(
            &file,
            "jobs   =  2 # the NAS is slow\r\n# inbox = \"off\"\r\n",
        )
        .unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        homes.ok("a", &["config", "set", "jobs", "3"]);
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(
            text,
            "jobs   =  3 # the NAS is slow\r\n# inbox = \"off\"\r\n"
        );
        homes.ok("a", &["config", "set", "quota", "1GiB"]);
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("the NAS is slow") && text.contains("quota = \"1GiB\""),
            "{text}"
        );
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            mode
        );
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let before = fs::read(&file).unwrap();
    let said = homes.fails("a", &["config", "set", "jobs", "4"], 3);
    assert!(said.contains("chmod u+w"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), before);
    fs::remove_file(&file).unwrap();
    homes.fails("a", &["config", "set", "jobs", "4"], 3);
    assert!(link.symlink_metadata().unwrap().is_symlink());
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_password_or_a_setting() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f"), "x").unwrap();
    fs::write(homes.path("plain"), "correct horse battery\n").unwrap();
    fs::write(homes.path("marked"), "\u{feff}correct horse battery\r\n").unwrap();
    for (number, (sealed, opened)) in [("plain", "marked"), ("marked", "plain")]
        .into_iter()
        .enumerate()
    {
        let out = format!("sealed{number}");
        homes.ok(
            "a",
            &["seal", "f", "--password-file", sealed, "--out", &out],
        );
        let got = format!("got{number}");
        homes.ok(
            "a",
            &["open", &out, "--password-file", opened, "--out", &got],
        );
    }
    let toml = homes.home("a").join("colis.toml");
    fs::write(&toml, "\u{feff}jobs = 2\n").unwrap();
    homes.ok("a", &["config", "set", "jobs", "3"]);
    assert!(
        homes
            .ok("a", &["config", "show"])
            .contains("jobs         = 3")
    );
}

#[test]
fn what_is_utf_16_is_said_to_be_no_utf_8() {
    let homes = Homes::new(&[]);
    let wide = |text: &str| {
        text.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>()
    };
    fs::write(homes.path("f"), "x").unwrap();
    fs::write(homes.path("wide"), wide("\u{feff}correct horse battery")).unwrap();
    let seal = ["seal", "f", "--password-file", "wide", "--out", "out"];
    assert!(homes.fails("a", &seal, 2).contains("text in UTF-8"));
    fs::write(
        homes.home("a").join("colis.toml"),
        wide("\u{feff}jobs = 2\n"),
    )
    .unwrap();
    assert!(homes.fails("a", &["status"], 3).contains("text in UTF-8"));
}
