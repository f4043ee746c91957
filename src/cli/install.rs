//! `serve --install`: a systemd unit that serves this home, of this user or of the system.

mod unit;

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use clap::ValueEnum as _;

use super::{
    Context,
    args::{Global, Serve},
    report::{ExitCode, Failure},
    serve,
};
use crate::{
    address::PeerAddress,
    config::{SETTINGS, variable},
    session::{Event, platform_folder},
    tls::{CertsDir, Identity},
    trust::write_durably,
};
use unit::{Unit, argument, check_ours, executable, owner_of, quote, text};

/// Whose service manager runs the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    System,
}

/// Writes the unit of this user, or gives that of the system.
pub(super) fn run(context: &Context, args: &Serve) -> Result<ExitCode, Failure> {
    // What would not serve by hand does not serve by systemd either, which only says so in its journal.
    Identity::load(&CertsDir::new(context.home.certs()))?;
    if args.system {
        return print(context, args);
    }
    let home = home_of(context)?;
    let unit = unit_of(context, args, Kind::User, &home)?;
    let path = path_of(args)?;
    check_ours(&path, &home)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| Failure::io(folder, &e))?;
    }
    write_durably(&path, unit.as_bytes(), 0o644).map_err(|e| Failure::io(&path, &e))?;
    let (path, unit) = (path.to_string_lossy().into_owned(), args.unit.clone());
    context.tell(&Event::Installed { path, unit });
    Ok(ExitCode::Ok)
}

/// The unit for the account that owns the home goes to standard output: only an administrator writes where it belongs.
fn print(context: &Context, args: &Serve) -> Result<ExitCode, Failure> {
    let home = home_of(context)?;
    context.tell(&Event::Unit {
        unit: args.unit.clone(),
        text: unit_of(context, args, Kind::System, &home)?,
        as_root: owner_of(&home)? == 0,
    });
    Ok(ExitCode::Ok)
}

/// Removes the unit of this user that serves this home.
pub(super) fn remove(context: &Context, args: &Serve) -> Result<ExitCode, Failure> {
    let path = path_of(args)?;
    check_ours(&path, &home_of(context)?)?;
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = format!("there is no unit {}", path.display());
            return Err(Failure::new(ExitCode::NotFound, what)
                .hint("another name: --unit NAME; a system's unit is removed by hand"));
        }
        Err(error) => return Err(Failure::io(&path, &error)),
    }
    let (path, unit) = (path.to_string_lossy().into_owned(), args.unit.clone());
    context.tell(&Event::Uninstalled { path, unit });
    Ok(ExitCode::Ok)
}

/// Where the unit of this user belongs.
fn path_of(args: &Serve) -> Result<PathBuf, Failure> {
    let missing = || {
        let what = "there is no folder for units: HOME names no folder by its whole path";
        Failure::new(ExitCode::Config, what).hint("set HOME, or XDG_CONFIG_HOME")
    };
    let config = platform_folder("XDG_CONFIG_HOME", ".config").ok_or_else(missing)?;
    Ok(config
        .join("systemd/user")
        .join(format!("{}.service", args.unit)))
}

/// The home by its whole path, which is its name in a unit.
fn home_of(context: &Context) -> Result<PathBuf, Failure> {
    let root = context.home.root();
    std::path::absolute(root).map_err(|e| Failure::io(root, &e))
}

/// The unit that does what this command line and this environment say.
fn unit_of(context: &Context, args: &Serve, kind: Kind, home: &Path) -> Result<String, Failure> {
    let listen = serve::options(context, args)?.listen;
    let program = env::current_exe().map_err(|e| Failure::io(Path::new("colis"), &e))?;
    let mut words = vec![
        "--home".to_owned(),
        text("the home folder", home)?.to_owned(),
    ];
    words.extend(global_words(&context.global));
    words.push("serve".to_owned());
    words.extend(serve_words(args));
    let words = words.iter().map(|word| argument(word));
    let words = words.collect::<Result<Vec<_>, _>>()?.join(" ");
    let unit = Unit {
        kind,
        home,
        start: format!("{} {words}", executable(&program)?),
        program: &program,
        environment: environment(|name| env::var_os(name))?,
        listen,
    };
    unit.text()
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
        system: _,
        unit: _,
        uninstall: _,
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

fn refused(what: &str) -> Failure {
    Failure::usage(what)
        .hint("no unit was written; move it to another name, or start colis serve in another way")
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
    }
}
