//! A disk that is full or only to be read keeps nobody from sending, from looking, or from receiving to another disk.

use std::fs;

use testkit::{
    Homes,
    disk::{self, Disk},
};

/// A circle of `b` and of a peer whose home is on `disk`, in which there is a file and something for it.
fn on(disk: &Disk) -> (Homes, String) {
    let (homes, home) = (Homes::new(&[]), disk.path().join("h"));
    let home = home.to_str().unwrap().to_owned();
    homes.ok(&home, &["certs", "init", "--name", "h"]);
    let certs = homes.home("b").join("certs");
    homes.ok(
        &home,
        &["certs", "issue", "b", "--out", certs.to_str().unwrap()],
    );
    fs::write(disk.path().join("data"), vec![7; 100_000]).unwrap();
    fs::write(homes.path("f"), "for h").unwrap();
    let serving = homes.serve(&home, &["--inbox", "off"]);
    homes.ok("b", &["send", "f", "--to", &serving.to()]);
    drop(serving);
    (homes, home)
}

#[test]
fn a_disk_that_takes_nothing_keeps_nobody_from_exchanging() {
    let ways: [fn(&Disk); 2] = [Disk::fill, Disk::freeze];
    for (number, wrong) in ways.into_iter().enumerate() {
        let Some(disk) = Disk::mount(disk::exact, 10_000) else {
            return;
        };
        let (homes, home) = on(&disk);
        wrong(&disk);
        let serving = homes.serve("b", &[]);
        let data = disk.path().join("data");
        let to = serving.to();
        homes.ok(
            &home,
            &["send", data.to_str().unwrap(), "--to", &to, "--wait"],
        );
        assert_eq!(
            fs::metadata(homes.home("b").join("received/data"))
                .unwrap()
                .len(),
            100_000
        );
        homes.ok(&home, &["list", &to]);
        homes.ok(&home, &["list"]);
        homes.ok(&home, &["inbox"]);
        homes.ok(&home, &["status"]);
        let out = homes.path("o");
        homes.ok(&home, &["receive", "--all", "--out", out.to_str().unwrap()]);
        assert_eq!(
            fs::read_to_string(out.join("f")).unwrap(),
            "for h",
            "{number}"
        );
    }
}
