//! `serve --install`: a systemd unit that serves this home, of this user or of the system.

use std::{
    env,
    ffi::OsString,
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
    peer::PeerOptions,
    session::{
        Event,
        service::{self, ServiceRequest, SystemUnit},
    },
    tls,
};

/// Writes the unit of this user, or gives that of the system.
pub(super) fn run(context: &Context, args: &Serve) -> Result<ExitCode, Failure> {
    let (request, unit) = (request(context, args)?, args.unit.clone());
    context.tell(&match args.system {
        false => {
            let path = text(&service::install(&context.home, &request)?);
            Event::Installed { path, unit }
        }
        true => {
            let SystemUnit { text, account } = service::system_unit(&context.home, &request)?;
            let as_root = account == 0;
            Event::Unit {
                unit,
                text,
                as_root,
            }
        }
    });
    Ok(ExitCode::Ok)
}

/// Removes the unit of this user that serves this home.
pub(super) fn remove(context: &Context, args: &Serve) -> Result<ExitCode, Failure> {
    let removed = service::uninstall(&context.home, &args.unit)?;
    context.tell(&Event::Uninstalled {
        path: text(&removed.path),
        unit: args.unit.clone(),
        link: removed.link.as_deref().map(text),
        home: text(context.home.root()),
    });
    Ok(ExitCode::Ok)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The service that does what this command line and this environment say.
fn request(context: &Context, args: &Serve) -> Result<ServiceRequest, Failure> {
    let PeerOptions {
        listen, received, ..
    } = serve::options(context, args)?;
    let program = env::current_exe().map_err(|e| Failure::io(Path::new("colis"), &e))?;
    let mut request = ServiceRequest::new(args.unit.clone(), program, listen);
    request.arguments = global_words(&context.global);
    request.arguments.push("serve".to_owned());
    request.arguments.extend(serve_words(args));
    // A unit of the system sees neither the user's folder for downloads nor what names it.
    if !received.starts_with(context.home.root()) {
        if args.received.is_some() || args.system {
            let received = received.to_str().ok_or_else(|| {
                Failure::usage("a unit can only name a folder whose path is UTF-8")
            })?;
            request
                .arguments
                .extend(["--received".to_owned(), received.to_owned()]);
        }
        request.received = Some(received);
    }
    request.environment = environment();
    request.passphrase = passphrase(context)?;
    Ok(request)
}

/// The file with the passphrase, which a service needs whose keys are under one: nobody can be asked.
fn passphrase(context: &Context) -> Result<Option<PathBuf>, Failure> {
    if !tls::has_passphrase(&context.home.dir()) {
        return Ok(None);
    }
    let Some(file) = &context.global.key_passphrase_file else {
        let failure =
            Failure::usage("the keys of this home are under a passphrase, which the service needs");
        return Err(failure.hint(
            "put it into a file of yours that only you can read, and name that: --key-passphrase-file FILE",
        ));
    };
    let file = std::path::absolute(file).map_err(|e| Failure::io(file, &e))?;
    Ok(Some(file))
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
        received: _,
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

/// The variables of colis that are set here; `COLIS_HOME` is the home that the unit names anyway.
fn environment() -> Vec<(String, OsString)> {
    let settings = SETTINGS.iter().map(|setting| variable(setting.key));
    let names = settings.chain(["COLIS_LOG".to_owned()]);
    let set = names.filter_map(|name| env::var_os(&name).map(|value| (name, value)));
    set.filter(|(_, value)| !value.is_empty()).collect()
}
