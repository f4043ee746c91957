//! Transcripts: what is typed, what is answered word for word, with which exit code. `[..]` stands for any text.
//!
//! `UPDATE=1 cargo test --test claims transcripts` writes what is answered now; read the difference before believing it.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use testkit::{Homes, Serving, bytes};

/// One command with what it answers.
struct Step {
    typed: String,
    answer: Vec<String>,
    code: i32,
}

/// Comments and blank lines before a step, and the step.
struct Transcript(Vec<(String, Step)>);

impl Transcript {
    fn parse(text: &str) -> Self {
        let mut steps: Vec<(String, Step)> = Vec::new();
        let mut between = String::new();
        for line in text.lines() {
            if let Some(typed) = line.strip_prefix("$ ") {
                let step = Step {
                    typed: typed.to_owned(),
                    answer: Vec::new(),
                    code: 0,
                };
                steps.push((std::mem::take(&mut between), step));
            } else if line.starts_with('#') || line.is_empty() {
                let _ = writeln!(between, "{line}");
            } else {
                let step = &mut steps
                    .last_mut()
                    .expect("a transcript begins with a command")
                    .1;
                match line.strip_prefix("? ") {
                    Some(code) => step.code = code.parse().unwrap(),
                    None => step.answer.push(line.to_owned()),
                }
            }
        }
        assert!(!steps.is_empty(), "nothing is typed");
        Self(steps)
    }

    fn write(&self) -> String {
        let mut text = String::new();
        for (before, step) in &self.0 {
            let _ = writeln!(text, "{before}$ {}", step.typed);
            step.answer
                .iter()
                .for_each(|line| text.push_str(&format!("{line}\n")));
            if step.code != 0 {
                let _ = writeln!(text, "? {}", step.code);
            }
        }
        text
    }
}

/// Whether `line` is `pattern`, in which `[..]` stands for any text.
fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split("[..]");
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn type_it(homes: &Homes, serving: &Serving, typed: &str) -> (Vec<String>, i32) {
    let program = testkit::program().parent().unwrap();
    let path = format!("{}:{}", program.display(), env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    let output = command
        .args(["-c", &format!("{typed} 2>&1")])
        .current_dir(homes.path(""))
        .stdin(Stdio::null())
        .env_clear()
        .envs([
            ("PATH", path),
            ("B", serving.to()),
            ("COLIS_HOME", "a".into()),
            ("COLIS_DISCOVERY", "false".into()),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let lines = said.lines().map(|line| {
        let line = line.replace(&serving.to(), "$B");
        plain(&line.replace(&homes.path("").display().to_string(), "/"))
    });
    let lines = lines.filter(|line| !line.is_empty()).collect();
    (lines, output.status.code().unwrap_or(-1))
}

/// Without what is different every time: ids, times, process numbers.
fn plain(line: &str) -> String {
    let is_hex = |word: &str| {
        word.bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let is_time = |word: &str| word.len() == 20 && word.starts_with("20") && word.ends_with('Z');
    let mut plain = String::new();
    for piece in line.split_inclusive([' ', ',', ')', '|', ';']) {
        let word = piece.trim_end_matches([' ', ',', ')', '|', ';']);
        let rest = &piece[word.len()..];
        if let Some(before) = before_date(&plain).filter(|_| is_time_of_day(word)) {
            plain.truncate(before);
            plain += "TIME";
            plain += rest;
            continue;
        }
        let is_process = plain.ends_with("process ") && word.parse::<u32>().is_ok();
        plain += match word.len() {
            64 if is_hex(word) => "ID",
            8 if is_hex(word) => "SHORT",
            _ if is_time(word) => "TIME",
            _ if is_process => "PID",
            _ => word,
        };
        plain += rest;
    }
    plain
}

/// `14:05`.
fn is_time_of_day(word: &str) -> bool {
    let parts = word.split_once(':');
    parts.is_some_and(|(hour, minute)| {
        [hour, minute]
            .iter()
            .all(|part| part.len() == 2 && part.parse::<u8>().is_ok())
    })
}

/// Where the date begins with which `line` ends: `today `, `28 Nov ` or `28 Nov 2025 `.
fn before_date(line: &str) -> Option<usize> {
    const MONTHS: &str = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    let mut words = line.trim_end().rsplit(' ');
    let (mut length, mut word) = (0, words.next()?);
    if word.len() == 4 && word.parse::<u16>().is_ok() {
        length += word.len() + 1;
        word = words.next()?;
    }
    length += word.len() + 1;
    if word != "today" {
        let is_month = word.len() == 3 && MONTHS.contains(word);
        let day = words.next().filter(|day| day.parse::<u8>().is_ok());
        length += day.filter(|_| is_month)?.len() + 1;
    }
    line.len().checked_sub(length)
}

/// Runs the transcript `name` with the homes `a`, `b` (serving at `$B`) and `c`.
fn walk(name: &str, serve: &[&str]) {
    let file = Path::new("tests/claims/transcripts").join(name);
    let mut transcript = Transcript::parse(&fs::read_to_string(&file).unwrap());
    let homes = Homes::new(&["b", "c"]);
    let serving = homes.serve("b", serve);
    fs::write(homes.path("report.pdf"), bytes(1, 300_000)).unwrap();
    let mut wrong = String::new();
    for (_, step) in &mut transcript.0 {
        let (lines, code) = type_it(&homes, &serving, &step.typed);
        let same = lines.len() == step.answer.len()
            && step
                .answer
                .iter()
                .zip(&lines)
                .all(|(pattern, line)| matches(pattern, line));
        if same && code == step.code {
            continue;
        }
        let _ = writeln!(wrong, "$ {}\n{}\n? {code}", step.typed, lines.join("\n"));
        // What still fits stays, with its `[..]`.
        let old = std::mem::take(&mut step.answer)
            .into_iter()
            .chain(std::iter::repeat(String::new()));
        let kept = old
            .zip(lines)
            .map(|(old, line)| if matches(&old, &line) { old } else { line });
        (step.answer, step.code) = (kept.collect(), code);
    }
    if env::var_os("UPDATE").is_some() {
        fs::write(&file, transcript.write()).unwrap();
    } else {
        assert!(wrong.is_empty(), "{name} is answered otherwise:\n{wrong}");
    }
}

#[test]
fn a_pattern_stands_for_itself_and_any_text() {
    assert!(matches("a [..] c", "a b c") && matches("[..]", "") && matches("a", "a"));
    assert!(!matches("a", "ab") && !matches("a [..] c", "a b d") && !matches("[..]x[..]y", "y x"));
}

#[test]
fn usage() {
    walk("usage.txt", &["--inbox", "off"]);
}

#[test]
fn transfers() {
    walk("transfers.txt", &["--keep-opened", "1d", "--inbox", "ask"]);
}

#[test]
fn trust() {
    walk("trust.txt", &["--inbox", "off"]);
}

#[test]
fn homes_and_stores() {
    walk("homes.txt", &["--inbox", "off"]);
}
