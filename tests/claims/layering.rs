//! The rooms import only what they may, and every file says what it is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What each room may import, beside itself.
const MAY: [(&str, &[&str]); 27] = [
    ("sabotage", &[]),
    ("id", &[]),
    ("lock", &[]),
    ("private", &[]),
    ("disk", &["private"]),
    ("name", &["sabotage"]),
    ("crypto", &["id", "name"]),
    ("manifest", &["id", "name", "crypto"]),
    (
        "trust",
        &[
            "id", "private", "lock", "disk", "name", "manifest", "address",
        ],
    ),
    (
        "tls",
        &[
            "id", "private", "lock", "disk", "name", "manifest", "trust", "crypto",
        ],
    ),
    ("address", &["name"]),
    (
        "store",
        &[
            "id", "private", "lock", "disk", "name", "manifest", "address", "sabotage",
        ],
    ),
    (
        "wire",
        &["id", "name", "crypto", "manifest", "address", "store"],
    ),
    (
        "received",
        &["id", "private", "lock", "disk", "name", "sabotage"],
    ),
    (
        "server",
        &[
            "id", "disk", "name", "manifest", "wire", "trust", "tls", "store", "sabotage",
        ],
    ),
    (
        "client",
        &[
            "id", "name", "crypto", "manifest", "wire", "address", "trust", "tls", "store",
            "sabotage",
        ],
    ),
    (
        "transfer",
        &[
            "id", "private", "lock", "name", "crypto", "manifest", "trust", "tls", "store",
            "received", "sabotage",
        ],
    ),
    (
        "pair",
        &[
            "id", "private", "name", "crypto", "manifest", "trust", "tls", "address",
        ],
    ),
    ("discover", &["id", "trust", "address"]),
    (
        "peer",
        &[
            "id", "private", "lock", "disk", "name", "crypto", "manifest", "wire", "trust", "tls",
            "store", "received", "server", "client", "transfer", "discover", "address",
        ],
    ),
    (
        "config",
        &[
            "private", "disk", "name", "manifest", "trust", "tls", "store", "peer", "address",
        ],
    ),
    (
        "session",
        &[
            "id", "private", "lock", "disk", "name", "crypto", "manifest", "wire", "trust", "tls",
            "store", "received", "server", "client", "transfer", "pair", "discover", "peer",
            "config", "address",
        ],
    ),
    (
        "doctor",
        &[
            "id", "disk", "name", "manifest", "wire", "trust", "tls", "store", "received",
            "server", "client", "peer", "config", "address", "session",
        ],
    ),
    (
        "cli",
        &[
            "id", "private", "lock", "disk", "name", "crypto", "manifest", "wire", "trust", "tls",
            "store", "received", "server", "client", "transfer", "pair", "discover", "peer",
            "config", "sabotage", "address", "session", "doctor",
        ],
    ),
    (
        "testing",
        &[
            "tls", "trust", "discover", "peer", "config", "address", "session",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// Each heavy dependency has its rooms.
const HEAVY: [(&str, &[&str]); 17] = [
    ("axum", &["server"]),
    ("axum_server", &["server"]),
    ("prometheus", &["server"]),
    ("reqwest", &["client"]),
    ("aes_gcm", &["crypto"]),
    ("pbkdf2", &["crypto"]),
    ("argon2", &["crypto"]),
    ("hpke", &["crypto"]),
    ("rcgen", &["tls"]),
    ("spake2", &["pair"]),
    ("domain", &["discover"]),
    ("webpki", &["tls"]),
    ("dialoguer", &["cli"]),
    ("indicatif", &["cli"]),
    ("clap", &["cli"]),
    ("utoipa", &["wire", "server"]),
    ("utoipa_axum", &["server"]),
];

/// Lines of a file before its tests.
const MAX_LINES: usize = 450;

pub(crate) fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut todo = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn room(path: &Path) -> String {
    let inside = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    let first = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Without tests, which may use what they like.
pub(crate) fn program(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

/// The rooms that `text` names after `crate::`, also within braces.
fn imports(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(block) = rest.strip_prefix('{') {
            let (mut depth, mut word) = (0, String::new());
            for c in block.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => rooms.push(std::mem::take(&mut word)),
                    _ => {}
                }
                if depth == 0 && c != ',' && c != '}' {
                    word.push(c);
                }
            }
            rooms.push(word);
        } else {
            rooms.push(
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    let names = rooms.iter().map(|room| {
        room.trim()
            .split("::")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    });
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn rooms_import_only_what_they_may() {
    let may: BTreeMap<_, _> = MAY.into_iter().collect();
    let mut seen = 0;
    for (path, text) in sources() {
        let room = room(&path);
        let allowed = may
            .get(room.as_str())
            .unwrap_or_else(|| panic!("{room} is in no layer"));
        for import in imports(program(&text)) {
            seen += 1;
            let fine = import == room || allowed.contains(&import.as_str());
            assert!(
                fine,
                "{} imports `{import}`, which {room} may not",
                path.display()
            );
        }
    }
    assert!(
        seen > 200,
        "only {seen} imports were found: does the test still see them?"
    );
}

#[test]
fn heavy_dependencies_stay_in_their_rooms() {
    for (path, text) in sources() {
        let room = room(&path);
        for (dependency, rooms) in HEAVY {
            let is_code = |line: &&str| !line.trim_start().starts_with("//");
            let mut code = program(&text).lines().filter(is_code);
            let uses = code.any(|line| line.contains(&format!("{dependency}::")));
            assert!(
                !uses || rooms.contains(&room.as_str()),
                "{} uses {dependency}",
                path.display()
            );
        }
    }
}

#[test]
fn the_server_holds_no_file_key_and_writes_no_plaintext() {
    for (path, text) in sources() {
        if room(&path) == "server" {
            for forbidden in [
                "FileKey",
                "ChunkOpener",
                "SealKey",
                "received::",
                "crypto::",
            ] {
                assert!(
                    !program(&text).contains(forbidden),
                    "{} names {forbidden}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    for (path, text) in sources() {
        assert!(
            text.starts_with("//! "),
            "{} does not say what it is",
            path.display()
        );
        let lines = program(&text).lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", path.display());
    }
}

/// Where a file is opened by another way than `private`, and why it may be.
const OPENED_OTHERWISE: [(&str, &str); 13] = [
    ("private.rs", "this is the way"),
    ("cli/demo/folder.rs", "its own new files"),
    (
        "cli/demo/material.rs",
        "its own new files, and the system's random bytes",
    ),
    ("cli/logging.rs", "`LogFile`, which opens by `private`"),
    ("cli/man.rs", "pages in a folder that the user names"),
    ("cli/password.rs", "what the user names may be a FIFO"),
    ("cli/pair/code.rs", "what the user names may be a FIFO"),
    ("cli/signals.rs", "/proc, and the terminal"),
    ("doctor/limits.rs", "/proc and /sys"),
    ("doctor/port.rs", "/proc"),
    ("session/home.rs", "/etc/machine-id"),
    (
        "transfer/left_out.rs",
        "what is sent; opened without waiting too",
    ),
    ("transfer/sink/journal.rs", "/proc"),
];

/// A FIFO in the place of a file of the home would be waited for, by whatever thread that is.
#[test]
fn files_of_a_home_are_opened_in_one_place() {
    let ways = [
        "fs::read(",
        "fs::read_to_string(",
        "File::open(",
        "File::create(",
        "File::options()",
        "OpenOptions::new()",
        "fs::write(",
        "fs::copy(",
        "tokio::fs",
        "pem_file(",
        "from_path(",
        "private::file().open(",
    ];
    let mut seen = BTreeMap::new();
    for (path, text) in sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let path = path.strip_prefix(root).unwrap().display().to_string();
        let is_test = path.ends_with("tests.rs") || path.starts_with("testing");
        let lines = program(&text).lines().map(str::trim_start);
        for line in lines.filter(|line| !is_test && !line.starts_with("//")) {
            if ways.iter().any(|way| line.contains(way)) {
                seen.entry(path.clone()).or_insert_with(|| line.to_owned());
            }
        }
    }
    let may: BTreeMap<_, _> = OPENED_OTHERWISE.into_iter().collect();
    for (path, line) in &seen {
        assert!(may.contains_key(path.as_str()), "{path}: {line}");
    }
    for path in may.keys() {
        assert!(seen.contains_key(*path), "{path} is excepted for nothing");
    }
}

/// Rooms that see what strangers send.
const EXPOSED: [&str; 9] = [
    "server", "client", "wire", "manifest", "crypto", "id", "name", "pair", "discover",
];

/// Where text of peers is handled nothing may give up, and elsewhere only with the reason why it cannot happen. That
/// nothing unwraps is for clippy.
#[test]
fn rooms_that_strangers_reach_give_up_on_nothing() {
    let ways = [
        "panic!(",
        "unreachable!(",
        "todo!(",
        "unimplemented!(",
        "assert!(",
    ];
    let mut reasons = 0;
    for (path, text) in sources() {
        let room = room(&path);
        if !EXPOSED.contains(&room.as_str()) || path.ends_with("tests.rs") {
            continue;
        }
        let lines = program(&text).lines().map(str::trim_start);
        for line in lines.filter(|line| !line.starts_with("//")) {
            let gives_up = ways.iter().any(|way| line.contains(way));
            assert!(!gives_up, "{}: {line}", path.display());
            let Some((_, reason)) = line.split_once(".expect(") else {
                continue;
            };
            let may = ["manifest", "crypto", "id"].contains(&room.as_str());
            let is_reason = reason.starts_with("TOO_LONG") || reason.split(' ').count() >= 4;
            assert!(may && is_reason, "{}: {line}", path.display());
            reasons += 1;
        }
    }
    assert!(
        reasons > 5,
        "only {reasons} reasons were found: does the test still see them?"
    );
}
