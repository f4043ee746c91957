//! `check` and `gc`: the local store.

use serde_json::json;

use super::{
    Context,
    args::{Check, Gc},
    custody,
    report::{ExitCode, Failure},
};
use crate::{
    config::units::Size,
    manifest::Timestamp,
    name::Escaped,
    session::store::{self, blocking},
    store::{LocalStore, StoreError},
};

pub(super) async fn check(context: &Context, args: &Check) -> Result<ExitCode, Failure> {
    if let (Some(peer), Some(transfer)) = (&args.peer, &args.transfer) {
        return custody::run(context, peer, transfer, args).await;
    }
    context.home.check_there()?;
    if args.new_store {
        begin_anew(context)?;
    }
    store::check_there(&context.home)?;
    if !context.home.chunks().join("FORMAT").exists() {
        let none = json!({"chunks": 0, "bytes": 0, "manifests": 0, "problems": []});
        context.output.object("check", &none);
        context.output.line("nothing is stored here yet");
        return Ok(ExitCode::Ok);
    }
    let store = open_or_look(context)?;
    let read_data = args.read_data;
    let report = blocking(move || store.check(read_data)).await?;
    for problem in &report.problems {
        context
            .output
            .line(format!("{}: {}", Escaped::new(&problem.path), problem.what));
    }
    context.output.object("check", &report);
    let how = if read_data {
        "read and hashed"
    } else {
        "in place; their bytes were not read, see --read-data"
    };
    let (chunks, bytes, manifests) = (report.chunks, Size(report.bytes), report.manifests);
    context.output.line(format!(
        "{chunks} chunks, {bytes}, {how}; {manifests} transfers complete"
    ));
    Ok(if report.problems.is_empty() {
        ExitCode::Ok
    } else {
        ExitCode::Integrity
    })
}

pub(super) async fn gc(context: &Context, args: Gc) -> Result<ExitCode, Failure> {
    context.home.check_there()?;
    let store = store::open(&context.home, &context.config)?;
    let keep = context
        .config
        .keep_opened
        .map_or(std::time::Duration::from_secs(24 * 3600), |text| {
            text.duration()
        });
    let (opened, report) = blocking(move || {
        let opened = store.let_go_settled(keep, Timestamp::now())?;
        let report = match args.unfinished {
            true => store.gc_unfinished(Timestamp::now())?,
            false => store.gc(Timestamp::now())?,
        };
        Ok((opened, report))
    })
    .await?;
    context.output.object("gc", &report);
    context.output.line(format!(
        "let go of {opened} opened and {} expired transfers; {} chunks ({}) to the trash, {} out of it",
        report.expired,
        report.chunks,
        Size(report.bytes),
        report.removed
    ));
    Ok(ExitCode::Ok)
}

/// Takes the store that is in the place of the one that this home had, or makes one.
fn begin_anew(context: &Context) -> Result<(), Failure> {
    let root = store::begin_anew(&context.home, &context.config)?;
    context.output.talk(format!(
        "{} is the store of this home from now on; transfers that were opened before may come once more, if their sender or a \
         relay still has them",
        root.display()
    ));
    Ok(())
}

/// The store, or if a peer of ours is serving it, a look at it.
fn open_or_look(context: &Context) -> Result<LocalStore, Failure> {
    match store::open(&context.home, &context.config) {
        Err(StoreError::Locked { holder }) => {
            context.output.talk(format!(
                "{holder} is using the store: damage is reported and left where it is"
            ));
            Ok(store::look(&context.home)?)
        }
        // A disk to read only keeps nobody from looking.
        Err(error @ StoreError::Io { .. }) => match store::look(&context.home) {
            Ok(store) => {
                context
                    .output
                    .talk(format!("{error}: damage is reported and left where it is"));
                Ok(store)
            }
            Err(_) => Err(error.into()),
        },
        store => Ok(store?),
    }
}
