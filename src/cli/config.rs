//! `config`: the settings, and where they come from.

use std::env;

use super::{
    args,
    output::Output,
    report::{ExitCode, Failure},
    show,
};
use crate::{
    config::Shown,
    name::shell_word,
    session::{Event, Home, change_setting, init_settings, take_back_setting},
};

/// Works also where the file is wrong: that is when one wants it.
pub(super) async fn run(
    home: &Home,
    output: Output,
    args: args::Config,
) -> Result<ExitCode, Failure> {
    match args.command.unwrap_or(args::ConfigCommand::Show) {
        args::ConfigCommand::Show => settings(home, output),
        args::ConfigCommand::Init => init(home, output),
        args::ConfigCommand::Set { key, value } => {
            let changed = change_setting(home, &key, &value).await?;
            show::tell(output, &Event::ConfigSet(changed));
            Ok(ExitCode::Ok)
        }
        args::ConfigCommand::Unset { key } => {
            let changed = take_back_setting(home, &key).await?;
            show::tell(output, &Event::ConfigUnset(changed));
            Ok(ExitCode::Ok)
        }
    }
}

fn settings(home: &Home, output: Output) -> Result<ExitCode, Failure> {
    for shown in Shown::all(&home.config(), |name| env::var_os(name))? {
        show::tell(output, &Event::Setting(shown));
    }
    Ok(ExitCode::Ok)
}

fn init(home: &Home, output: Output) -> Result<ExitCode, Failure> {
    let path = home.config();
    let failed = |e| {
        let failure = Failure::io(&path, &e);
        match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                let what = format!("{} is there already", path.display());
                let failure = Failure::new(ExitCode::Config, what);
                match Shown::all(&path, |_| None) {
                    Ok(_) => failure.hint("see what it sets: colis config show"),
                    Err(error) => {
                        let path = shell_word(&path);
                        failure.hint(format!(
                            "it is wrong ({error}): correct it, or move it away first: mv {path} {path}.bad"
                        ))
                    }
                }
            }
            std::io::ErrorKind::NotFound => {
                failure.hint("make the home folder first: colis certs init")
            }
            _ => failure,
        }
    };
    init_settings(home).map_err(failed)?;
    show::tell(output, &Event::ConfigInit { path: text(home) });
    Ok(ExitCode::Ok)
}

fn text(home: &Home) -> String {
    home.config().to_string_lossy().into_owned()
}
