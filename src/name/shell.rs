//! A word of a command that is shown to be copied into a shell.

use std::ffi::OsStr;

/// `word` as a shell takes it for one, whatever is in it: a path with spaces or quotes stays whole. Every command that is printed to be
/// copied has its paths from here.
pub fn shell_word(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&b);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_takes_it_for_one_word() {
        for word in [
            "/home/ben/colis",
            "",
            "/home/Eve's \"box\"/a b",
            "$HOME `id` \\ * ? ~ # ; & | < > ! (x)",
            "t\u{e9}l\u{e9}",
        ] {
            let script = format!("printf %s {}", shell_word(word));
            let said = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), word);
        }
    }
}
