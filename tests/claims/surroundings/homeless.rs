//! Variables that name no folder: keys never go into the current one.

use std::{fs, process::Command};

use testkit::{Homes, Ran};

/// `colis ...` in an empty folder, with nothing of the environment but these variables.
fn ran(homes: &Homes, variables: &[(&str, &str)], args: &[&str]) -> Ran {
    let folder = homes.path("w");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    let mut command = Command::new(testkit::program());
    command.env_clear().envs(variables.iter().copied());
    let ran = Ran::from(command.args(args).current_dir(&folder).output().unwrap());
    let left: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert!(left.is_empty(), "{variables:?}: {left:?} is there");
    ran
}

#[test]
fn without_a_home_nothing_is_made() {
    let homes = Homes::new(&[]);
    for variables in [
        &[][..],
        &[("HOME", "")],
        &[("HOME", ".")],
        &[("HOME", "here")],
        &[("HOME", ""), ("XDG_DATA_HOME", "")],
        &[("HOME", "here"), ("XDG_DATA_HOME", "here")],
        &[("XDG_DATA_HOME", "here")],
        &[("COLIS_HOME", ""), ("HOME", "/nonexistent")],
    ] {
        for args in [
            &["certs", "init", "--name", "x"][..],
            &["status"],
            &["send", "f", "--to", "x"],
            &["config", "init"],
            &["config", "set", "jobs", "3"],
            &["serve"],
            &["serve", "--install"],
            &["doctor"],
            &["receive"],
        ] {
            let ran = ran(&homes, variables, args);
            assert_eq!(ran.code, 3, "{variables:?} {args:?}: {}", ran.err);
            assert!(ran.err.contains("--home DIR"), "{variables:?}: {}", ran.err);
        }
    }
}

#[test]
fn an_empty_name_of_a_home_is_refused() {
    let homes = Homes::new(&[]);
    let ran = ran(&homes, &[], &["--home", "", "certs", "init", "--name", "x"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("is empty"), "{ran:?}");
}

#[test]
fn what_needs_no_home_works_without_one() {
    let homes = Homes::new(&[]);
    for args in [
        &["--help"][..],
        &["--version"],
        &["man"],
        &["completions", "bash"],
    ] {
        let variables = &[("HOME", ""), ("COLIS_HOME", "")];
        let ran = ran(&homes, variables, args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_relative_xdg_folder_is_passed_over_and_an_absolute_one_is_taken() {
    let homes = Homes::new(&[]);
    let (user, data) = (homes.path("user"), homes.path("data"));
    let (user_text, data_text) = (user.to_str().unwrap(), data.to_str().unwrap());
    let init = ["certs", "init", "--name", "x"];
    let relative = [("HOME", user_text), ("XDG_DATA_HOME", "data")];
    assert_eq!(ran(&homes, &relative, &init).code, 0);
    assert!(user.join(".local/share/colis/certs/ca-key.pem").exists());
    let absolute = [("HOME", ""), ("XDG_DATA_HOME", data_text)];
    assert_eq!(ran(&homes, &absolute, &init).code, 0);
    assert!(data.join("colis/certs/ca-key.pem").exists());
}
