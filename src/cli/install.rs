//! `serve --install`: a systemd unit that serves this home whenever its user is there.

use std::{env, ffi::OsString, fs, path::Path};

use clap::ValueEnum as _;
use serde_json::json;

use super::{
    Context,
    args::{Global, Serve},
    home::platform_folder,
    report::{ExitCode, Failure},
    serve,
};
use crate::{
    address::PeerAddress,
    config::{SETTINGS, variable},
    name::PathText,
    tls::{CertsDir, Identity},
    trust::write_durably,
};

/// The first line of a unit that is ours to replace.
const MARK: &str = "# Written by `colis serve --install`.";

pub(super) fn run(context: &Context, args: &Serve) -> Result<ExitCode, Failure> {
    // What would not serve by hand does not serve by systemd either, which only says so in its journal.
    Identity::load(&CertsDir::new(context.home.certs()))?;
    serve::options(context, args)?;
    let unit = unit_of(context, args)?;
    let missing = || {
        let what = "there is no folder for units: HOME names no folder by its whole path";
        Failure::new(ExitCode::Config, what).hint("set HOME, or XDG_CONFIG_HOME")
    };
    let config = platform_folder("XDG_CONFIG_HOME", ".config").ok_or_else(missing)?;
    let folder = config.join("systemd/user");
    let path = folder.join("colis.service");
    if fs::read_to_string(&path).is_ok_and(|text| !text.starts_with(MARK)) {
        let what = format!("{} was not written by colis", path.display());
        let failure = Failure::new(ExitCode::Config, what);
        return Err(failure.hint("move it away, then run this again"));
    }
    fs::create_dir_all(&folder).map_err(|e| Failure::io(&folder, &e))?;
    write_durably(&path, unit.as_bytes(), 0o644).map_err(|e| Failure::io(&path, &e))?;
    context
        .output
        .object("installed", &json!({"path": PathText(&path)}));
    context.output.line(path.display());
    context.output.talk(
        "start it, now and at every login: systemctl --user daemon-reload && systemctl --user enable --now colis\n\
         also when nobody is logged in: loginctl enable-linger\n\
         its log: journalctl --user -u colis; what arrived, with its names: colis history",
    );
    Ok(ExitCode::Ok)
}

/// The unit that does what this command line and this environment say.
fn unit_of(context: &Context, args: &Serve) -> Result<String, Failure> {
    let program = env::current_exe().map_err(|e| Failure::io(Path::new("colis"), &e))?;
    let home = text("the home folder", context.home.root())?;
    let mut words = vec!["--home".to_owned(), home.to_owned()];
    words.extend(global_words(&context.global));
    words.push("serve".to_owned());
    words.extend(serve_words(args));
    let words = words.iter().map(|word| argument(word));
    let words = words.collect::<Result<Vec<_>, _>>()?.join(" ");
    let start = format!("{} {words}", executable(&program)?);
    Ok(unit(&start, &environment(|name| env::var_os(name))?))
}

fn global_words(global: &Global) -> Vec<String> {
    let verbose = std::iter::repeat_n("-v", usize::from(global.verbose));
    let quiet = global.quiet.then_some("-q");
    verbose.chain(quiet).map(str::to_owned).collect()
}

/// The options beside `--install`, each as it was typed. A new option does not compile until it is here.
fn serve_words(args: &Serve) -> Vec<String> {
    let Serve {
        listen,
        inbox,
        auto_up_to,
        keep_opened,
        install: _,
        keep_exec,
    } = args;
    let inbox = inbox.and_then(|inbox| Some(inbox.to_possible_value()?.get_name().to_owned()));
    let valued = [
        (
            "--listen",
            listen.map(|at| PeerAddress::from(at).to_string()),
        ),
        ("--inbox", inbox),
        ("--auto-up-to", auto_up_to.clone()),
        ("--keep-opened", keep_opened.clone()),
    ];
    let valued = valued
        .into_iter()
        .filter_map(|(name, value)| Some([name.to_owned(), value?]));
    let keep_exec = keep_exec.then(|| "--keep-exec".to_owned());
    valued.flatten().chain(keep_exec).collect()
}

/// The variables of colis that are set here, as lines of the unit; `COLIS_HOME` is the home that it names anyway.
fn environment(set: impl Fn(&str) -> Option<OsString>) -> Result<String, Failure> {
    let settings = SETTINGS.iter().map(|setting| variable(setting.key));
    let mut lines = String::new();
    for name in settings.chain(["COLIS_LOG".to_owned()]) {
        let Some(value) = set(&name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let value = text(&name, Path::new(&value))?;
        let line = quote(&format!("{name}={value}"), "%")?;
        lines.push_str(&format!("Environment={line}\n"));
    }
    Ok(lines)
}

fn unit(start: &str, environment: &str) -> String {
    format!(
        "{MARK}\n\
         [Unit]\n\
         Description=colis, encrypted file exchange between peers\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         {environment}\
         ExecStart={start}\n\
         Restart=on-failure\n\
         RestartSec=2\n\
         TimeoutStopSec=30\n\
         LimitNOFILE=65536\n\
         LimitCORE=0\n\
         StandardOutput=null\n\
         NoNewPrivileges=yes\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n"
    )
}

/// A path for the unit, which must be text for systemd to read the same bytes.
fn text<'a>(what: &str, path: &'a Path) -> Result<&'a str, Failure> {
    path.to_str().ok_or_else(|| {
        let shown = path.display();
        refused(&format!(
            "{what} is not UTF-8, which a unit must be: {shown}"
        ))
    })
}

fn refused(what: &str) -> Failure {
    Failure::usage(what)
        .hint("no unit was written; move it to another name, or start colis serve in another way")
}

/// The program. systemd expands no variable in its name, and takes none with a quote or a backslash.
fn executable(program: &Path) -> Result<String, Failure> {
    let text = text("the name of the program", program)?;
    if text.contains(['"', '\'', '\\']) {
        let what = "systemd starts no program with a quote or a backslash in its name";
        return Err(refused(&format!("{what}: {text}")));
    }
    quote(text, "%")
}

fn argument(word: &str) -> Result<String, Failure> {
    quote(word, "%$")
}

/// As systemd.syntax(7) wants it: in double quotes, and the characters of `special`, doubled, mean themselves.
fn quote(text: &str, special: &str) -> Result<String, Failure> {
    if text.contains(char::is_control) {
        let what = format!("it has a control character, which no line of a unit has: {text}");
        return Err(refused(&what));
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if special.contains(c) {
            quoted.push(c);
        } else if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Ok(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_themselves_in_a_unit() {
        assert_eq!(
            argument("/a b/50%/$x\"\\").unwrap(),
            r#""/a b/50%%/$$x\"\\""#
        );
        assert_eq!(executable(Path::new("/a b/$x%")).unwrap(), "\"/a b/$x%%\"");
        for odd in ["/a\"b", "/a'b", "/a\\b", "/a\nb"] {
            let refused = executable(Path::new(odd)).unwrap_err();
            assert_eq!(refused.code, ExitCode::Usage, "{odd}");
        }
        assert!(argument("a\nExecStop=b").is_err());
    }

    #[test]
    fn what_is_set_is_in_the_unit() {
        let set = |name: &str| {
            let value = match name {
                "COLIS_LOG" => "a=\"50%\" $b",
                "COLIS_JOBS" => "7",
                "COLIS_INBOX" => "",
                _ => return None,
            };
            Some(value.into())
        };
        let lines = environment(set).unwrap();
        assert_eq!(
            lines,
            "Environment=\"COLIS_JOBS=7\"\nEnvironment=\"COLIS_LOG=a=\\\"50%%\\\" $b\"\n"
        );
        let unit = unit("\"/usr/bin/colis\" serve", &lines);
        assert!(unit.starts_with(MARK) && unit.contains(&lines));
        assert!(unit.contains("\nExecStart=\"/usr/bin/colis\" serve\n"));
        // Arrivals are printed with names and messages, and others read the journal.
        assert!(unit.contains("\nStandardOutput=null\n"));
    }
}
