//! `config`: the settings, and where they come from.

use std::{env, io::Write as _};

use serde_json::json;

use super::{
    args,
    output::Output,
    report::{ExitCode, Failure},
};
use crate::{
    config::{Origin, Shown, set, template},
    name::PathText,
    private,
    session::Home,
};

/// Works also where the file is wrong: that is when one wants it.
pub(super) fn run(home: &Home, output: Output, args: args::Config) -> Result<ExitCode, Failure> {
    match args.command.unwrap_or(args::ConfigCommand::Show) {
        args::ConfigCommand::Show => show(home, output),
        args::ConfigCommand::Init => init(home, output),
        args::ConfigCommand::Set { key, value } => {
            set(&home.config(), &key, &value)?;
            let path = home.config();
            output.object("config-set", &json!({"key": key, "path": PathText(&path)}));
            output.talk(format!(
                "{key} is set in {}; a peer that is serving takes it when it is started again",
                path.display()
            ));
            Ok(ExitCode::Ok)
        }
    }
}

fn show(home: &Home, output: Output) -> Result<ExitCode, Failure> {
    for shown in Shown::all(&home.config(), |name| env::var_os(name))? {
        output.object("setting", &shown);
        let value = match &shown.value {
            Some(value) => value.clone(),
            None => format!("({})", shown.holds),
        };
        let from = match &shown.origin {
            Origin::Default => "default".to_owned(),
            Origin::File(path) => path.display().to_string(),
            Origin::Environment(name) => name.clone(),
        };
        output.line(format!("{:<12} = {value:<26} {from}", shown.key));
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
                Failure::new(ExitCode::Config, what).hint("see what it sets: colis config show")
            }
            std::io::ErrorKind::NotFound => {
                failure.hint("make the home folder first: colis certs init")
            }
            _ => failure,
        }
    };
    let mut options = private::file();
    let mut file = options
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(failed)?;
    file.write_all(template().as_bytes()).map_err(failed)?;
    output.object("config-init", &json!({"path": PathText(&path)}));
    output.line(path.display());
    Ok(ExitCode::Ok)
}
